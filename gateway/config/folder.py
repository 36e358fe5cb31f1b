"""A peer's `folder:` → `Folder`: a path template that cannot leave its root."""

from __future__ import annotations

import os
import re

from gateway.common.file_modes import CLOSE_IT, OPEN_TO_OTHERS, is_reachable_by_others
from gateway.config.compile_context import Context
from gateway.config.spec.peers import FolderSpec
from gateway.config.tree import Place, without_secrets
from gateway.destinations.folder import Folder
from gateway.routing.language.template import EXPRESSION, Template


def compile_folder(spec: FolderSpec, place: Place, context: Context) -> Folder:
    """The folder of a peer. Problems are reported."""
    at = place.at("path")
    _check_template(spec.path, at, context)
    literal = EXPRESSION.split(spec.path, maxsplit=1)[0]
    inside = os.path.dirname(context.at_work(f"{literal}x"))
    root = inside if spec.root is None else context.at_work(spec.root)
    if ".." in re.split(r"[/\\]", EXPRESSION.sub("x", spec.path)):
        context.error(at, "leaves-root", f"{at.shown} holds `..`; name the folder itself")
    elif os.path.commonpath((root, inside)) != root:
        context.error(at, "leaves-root", f"{at.shown} does not lie in `root` {place.at('root').shown}")
    elif root == os.path.sep:
        where = place.at("root") if place.has("root") else at
        context.error(where, "root-is-everything", "the whole file system would be the root; name a folder in it")
    else:
        _check_root(root, place.at("root") if place.has("root") else at, spec.access, context)
    rest = spec.path[len(literal) :]
    return Folder(
        path_template=os.path.join(inside, os.path.basename(literal)) + rest,
        root=root,
        on_conflict=spec.on_conflict,
        access=spec.access,
    )


def _check_template(text: str, place: Place, context: Context) -> None:
    try:
        template = Template(text)
    except ValueError as error:
        context.error(place, "bad-template", without_secrets(str(error), place))
        return
    if not template.attributes:
        message = f"{place.shown} is the same path for every object; use attributes, such as `{{{{ SOPInstanceUID }}}}`"
        context.error(place, "constant-path", message)


def _check_root(root: str, place: Place, access: str, context: Context) -> None:
    """Check the root as far as it can be seen before the first object: it may also be made, mounted or mended later."""
    try:
        if not os.path.isdir(root):
            if os.path.lexists(root):
                message = f"`{root}` is no folder; every delivery will wait until it is one"
                context.findings.warning(place.mark, "not-a-folder", message)
            return
        if access != "others" and is_reachable_by_others(root):
            message = f"nothing will be written under `{root}`: {OPEN_TO_OTHERS}; {CLOSE_IT}"
            context.findings.warning(place.mark, "readable-by-others", message)
    except OSError:
        return  # the user of `gateway validate` may see less than the gateway's
