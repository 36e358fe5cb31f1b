"""A peer's `associate:`."""

from __future__ import annotations

from gateway.config.spec.associate import AssociateSpec, AsyncOperationsSpec, RoleSpec, UserIdentitySpec
from tests.support.sections import built


def test_negotiation_is_built_to_the_innermost() -> None:
    section, problems = built(
        AssociateSpec,
        """
ae_title: "{{ association.called_ae_title }}"
ext_neg:
  roles: [{sop_class: CTImageStorage, scu_role: false, scp_role: true}]
  async_operations: {invoked: 5, performed: 0}
""",
    )
    assert problems == []
    assert section is not None
    assert section.ae_title == "{{ association.called_ae_title }}"
    assert section.ext_neg.roles == (RoleSpec(sop_class="CTImageStorage", scu_role=False, scp_role=True),)
    assert section.ext_neg.async_operations == AsyncOperationsSpec(invoked=5, performed=0)


def test_an_item_that_lacks_a_setting_goes_alone() -> None:
    section, problems = built(
        AssociateSpec,
        """
ext_neg:
  roles:
    - {sop_class: CTImageStorage, scu_role: yes, scp_role: true}
    - {sop_class: MRImageStorage, scu_role: true, scp_role: true}
""",
    )
    assert problems == ["4:45: wrong-type: expected `true` or `false`, found the text `yes` (did you mean `true`?)"]
    assert section is not None
    assert [one.sop_class for one in section.ext_neg.roles] == ["MRImageStorage"]


def test_a_passcode_is_in_no_representation() -> None:
    section, problems = built(
        UserIdentitySpec, "{type: username_passcode, primary: gateway, secondary: '${CODE}'}", {"CODE": "s3cr3t"}
    )
    assert problems == []
    assert section is not None
    assert section.secondary == "s3cr3t"
    assert "s3cr3t" not in repr(section)
