"""What differs between two versions of a journey file, part by part and field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import asdict, fields

from nba.journey.file import JourneyFile


class PartChange(msgspec.Struct, frozen=True, kw_only=True):
    """One difference; `old` and `new` are JSON values, null where there is none."""

    part: str  # the section, such as contact_policy.caps
    id: str  # of the part within it, empty where the section is one part
    change: Literal["added", "removed", "changed"]
    field: str = ""  # of a changed part, with its path, such as steps.remind.wait_hours
    old: Any = None
    new: Any = None


def diff(old: JourneyFile, new: JourneyFile) -> list[PartChange]:
    """Every difference, in the order of the file's sections; none for equal versions."""
    return list(_fields("", old, new))


def _fields(section: str, old: msgspec.Struct, new: msgspec.Struct) -> Iterator[PartChange]:
    after = asdict(new)
    for name, before in asdict(old).items():
        path = f"{section}.{name}" if section else name
        if before == after[name] and _order(before) == _order(after[name]):
            continue
        if _has_parts(before) and _has_parts(after[name]):
            yield from _parts(path, _by_id(before), _by_id(after[name]))
        elif isinstance(before, msgspec.Struct) and isinstance(after[name], msgspec.Struct):
            yield from _fields(path, before, after[name])
        else:
            yield _changed(section, "", name, before, after[name])


def _parts(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[PartChange]:
    for name, before in old.items():
        if name not in new:
            yield PartChange(part=section, id=name, change="removed", old=said(before))
        else:
            for field, one, other in _within("", before, new[name]):
                yield _changed(section, name, field, one, other)
    for name, after in new.items():
        if name not in old:
            yield PartChange(part=section, id=name, change="added", new=said(after))
    kept, now = [one for one in old if one in new], [one for one in new if one in old]
    if kept != now:
        yield _changed(section, "", "order", kept, now)


def _within(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """(path, old, new) of everything that differs inside one part."""
    if old == new:
        return
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        before, after = asdict(old), asdict(new)
    elif _has_parts(old) and _has_parts(new) and (old or new):
        before, after = dict(_by_id(old)), dict(_by_id(new))
        kept, now = [one for one in before if one in after], [one for one in after if one in before]
        if kept != now:
            yield _joined(path, "order"), kept, now
    else:
        yield path, old, new
        return
    for name in dict.fromkeys([*before, *after]):
        yield from _within(_joined(path, name), before.get(name), after.get(name))


def _changed(section: str, name: str, field: str, old: Any, new: Any) -> PartChange:
    return PartChange(
        part=section, id=name, change="changed", field=field, old=said(old), new=said(new)
    )


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _has_parts(value: Any) -> bool:
    """A list of parts with ids, or a mapping by name."""
    if isinstance(value, list):
        return all(isinstance(one, msgspec.Struct) and hasattr(one, "id") for one in value)
    return isinstance(value, dict)


def _order(value: Any) -> list[str]:
    """Of a mapping by name: it gives columns their places."""
    return list(value) if isinstance(value, dict) else []


def _by_id(parts: Any) -> Mapping[str, Any]:
    return parts if isinstance(parts, dict) else {one.id: one for one in parts}


def said(value: Any) -> Any:
    """A value as the file would say it: without what is left at its default."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: said(getattr(value, field.name))
            for field in fields(value)
            if field.required or getattr(value, field.name) != _default(field)
        }
    if isinstance(value, list | tuple):
        return [said(one) for one in value]
    if isinstance(value, dict):
        return {name: said(one) for name, one in value.items()}
    return value


def _default(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory()
