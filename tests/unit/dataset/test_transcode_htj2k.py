"""High-throughput JPEG 2000: what another encoder (OpenJPH 0.32) wrote of pictures that anybody can draw."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest

from gateway.dataset.codecs import CODECS, missing, short_name
from gateway.dataset.encapsulation import DELIMITER, basic_offset_table, fragment_header
from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scratch import Scratch
from gateway.dataset.writer import element_header
from tests.support.pixels import EXPLICIT, JPEG_LS, Made, Pixels, dataset, pixels
from tests.support.transcoding import assert_same, to

pytestmark = pytest.mark.skipif(bool(missing(CODECS)), reason="needs the codecs extra")

LOSSLESS, BY_RESOLUTION, ANY = (f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))


def picture(rows: int, columns: int, samples: int, bits: int, *, is_signed: bool) -> Pixels:
    """A slope that starts again where the bits end."""
    y, x = np.mgrid[0:rows, 0:columns]
    planes = [(x * (37 + 4 * sample) + y * 91 + sample * 5) % (1 << bits) for sample in range(samples)]
    values = np.stack(planes, axis=-1) - ((1 << bits - 1) if is_signed else 0)
    array = values.astype(("i" if is_signed else "u") + ("1" if bits <= 8 else "2"))
    return array if samples > 1 else array[..., 0]


PICTURES = {
    "12 of 16 bit": picture(20, 18, 1, 12, is_signed=False),
    "16 bit signed": picture(20, 18, 1, 16, is_signed=True),
    "RGB": picture(10, 12, 3, 8, is_signed=False),
    "by resolution": picture(20, 18, 1, 12, is_signed=False),
}
CODE = {
    "12 of 16 bit": """
|4;u>04YEK0000I0000K00000000000000I0000K0000000000009dD0sl|{2mk^A000L6QUDA90ssL31q1{@0smY86Ch}CaBy&NaBy&NaBy&F
XlVar02crOPjF>!N>E53R%LP^FfKDPE-)_tkN^q*00000k^lk!lfVK{>jH;#0Kfq>022VH`~rt`0Id512Xp|y0VDtu0PQPt0CD^P0yF@?0VDtu
fGFa00C9`}BzIK+zyVPJ1#tg=uqf%`b^w?$W5$g6^cemzfxfr^zyi{M1*%8{K_W;5i6HObzhAG{;EQ?yv@{xxMx)Va|1bg(h(LSxApz{Y0RPz
""",
    "16 bit signed": """
|4;u>04YEK0000I0000K00000000000000I0000K000000000000EBy0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm&kdTmw
h=~7W02crOPjF>!N>E53R%LP^FfKDPE-)_tkN^q*00000m;eF)lfVEb>-Pl*bO68r6F>kH0I2)|hjaj}`vV7b0KfneKmZc}?JIKtar^)RGyuQ=
5<mbGfGFa00C9`}BzIK+zyK8x00nUWf3PU&;&uR-F=NJz`Sck6F@e6g0Kfn(C;$bjNCZJ5NCb%>@8G{*uh-y<dH}RE8jVJy(P;lL0uhKnd-fp#
?7aa0*#
""",
    "RGB": """
|4;u>053oQ0000C0000A00000000000000C0000A000000000000RdB0S5sA2LS>9Pyh%30ssI21OHM03;+TE0RaUB1V91*TmTawP*_-4SXfwC
SXfwCSWr+<|6~9c00B>MWo}APNFY{aav(4+GcqnPF8`1K3IG5A00Mmg0soW05&-@HV*tPsfcyYQbO68-fcXGNbN~PV0Kf?#1h4{7{s3bD{s2dG
0M`JAbO68!AOx@iQ2qd80O0@!bO8AP2Xp|y2;c;80#E>B04H+*l>rBI0Kf^L1keIdrv3l}bO1*E0D*J>xd8`s0Kf@g1keId_5e$C08IP<0dxSw
0Ect{zzLuP&;n52?f{E)03G`Pfph@t0Ect{zzX;QRRAi$1%~W!=b3>3M8DvOy_f)YKL?ic0g(B%0AD$F-yr=VgL^dqzzX;QRRAi04MblV1|<C)
h1LK7zL)@r#rz)o0m#3V01}sQcH9s_zLfyL3itt404o4}#Kbd$O*sGpUT{FZm;iwGEjf$;h`p5n0>NoNV%-2B0KS$0z!ymXU0eZlfImL3!(sVZ
+-bnW>Fe=cOovYA@m|M)0FUQ?#L9qG003E?06%^le$E`O@2qF5%g@6%mzQ_{4+sBkKY^MukwW<Zeb0Z<g5nnhAZI-Q|3BaVYxnW~e}3QJ|9kWO
zCQm?|9=1oz8KH36o^~^0M4EOz!ygVTaX35zK`$Y=VxH>`~3a={Qcax`+a`?ZvKk~55|uJ0*8!1fV}`8J`bOtpWpv~{{MS_-~WGs^dhyu!QzYv
LOcNfU%$Wqe}8}ffBydee*OLbe}H26#cGEOiZBc!JpjNLM*v&!1<-*1fB$#;`#yHt|9$?xzYdRl{GY=t!Z1I7+yE8$hEPNqUjX0l#|O{9ujl`N
`<_4FeExsmC42tx1$?-LP=qBt0RMk~zdt{JfB%2~Uw{99|9$`rV1Iw4Apu+QhyVa3FaiJB
""",
    "by resolution": """
|4;u>04YEK0000I0000K00000000000000I0000K0000000000009dD0sl|{2mk^A000L6QUDA90ssL31q1{@0smY86Ch}CaBy&NaBy&NaBy&F
XlVar02crOPjF>!N>E53R%LP^FfKDPE-)_tRR9VAU;qFB005HzkN^q*00000k^lk!lfVK{>jH;#0Kfq>022VH`~rt`0Id512Xp|y0VDtu0PQPt
0CD^P0yF@?0VDtufGFa00C9`}BzIK+zyVPJ1#tg=uqf%`b^w?$W5$g6^cemzfxfr^zyi{M1*%8{K_W;5i6HObzhAG{;EQ?yv@{xxMx)Va|1bg(
h(LSxApz{Y0RPz
""",
}
"""Code streams, in base 85."""


@pytest.mark.parametrize(
    ("name", "syntax", "photometric"),
    [
        ("12 of 16 bit", LOSSLESS, "MONOCHROME2"),
        ("12 of 16 bit", ANY, "MONOCHROME1"),
        ("16 bit signed", LOSSLESS, "MONOCHROME2"),
        ("RGB", LOSSLESS, "YBR_RCT"),
        ("by resolution", BY_RESOLUTION, "MONOCHROME2"),
    ],
)
def test_htj2k_is_read(name: str, syntax: str, photometric: str, tmp_path: Path) -> None:
    drawn = PICTURES[name]
    code = base64.b85decode("".join(CODE[name].split()))
    code += b"\0" * (len(code) % 2)
    bits = 12 if "12" in name or name == "by resolution" else drawn.dtype.itemsize * 8
    native = Made(np.stack([drawn, drawn]), bits, photometric).encoded()
    head = native[: native.index(struct.pack("<HH", 0x7FE0, 0x0010))]
    items = basic_offset_table([len(code)] * 2) + (fragment_header(len(code)) + code) * 2
    coded = head + element_header(EXPLICIT_LITTLE, 0x7FE00010, "OB", 0xFFFFFFFF) + items + DELIMITER
    scratch = Scratch(str(tmp_path))
    for target in (EXPLICIT, JPEG_LS):
        found = dataset(to(coded, syntax, target, scratch), target)
        assert_same(pixels(found), np.stack([drawn, drawn]))
        assert found.PhotometricInterpretation == photometric.replace("YBR_RCT", "RGB")
        assert "LossyImageCompression" not in found, short_name(syntax)
