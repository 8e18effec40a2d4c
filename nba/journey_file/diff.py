"""The differences between two versions of a journey file, part by part and field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import FieldInfo, asdict, fields

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
    after = _declared(new)
    for name, before in _declared(old).items():
        path = _joined(section, name)
        if before == after[name] and _order(before) == _order(after[name]):
            continue
        if _has_parts(before) and _has_parts(after[name]):
            yield from _parts(path, _by_id(before), _by_id(after[name]))
        elif isinstance(before, msgspec.Struct) and isinstance(after[name], msgspec.Struct):
            yield from _fields(path, before, after[name])
        else:
            yield _changed(section, "", name, before, after[name])


def _parts(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[PartChange]:
    for name, part in old.items():
        if name not in new:
            declared = _without_defaults(part)
            yield PartChange(part=section, id=name, change="removed", old=declared)
        else:
            for field, before, after in _within("", part, new[name]):
                yield _changed(section, name, field, before, after)
    for name, part in new.items():
        if name not in old:
            declared = _without_defaults(part)
            yield PartChange(part=section, id=name, change="added", new=declared)
    before, after = _common_orders(old, new)
    if before != after:
        yield _changed(section, "", "order", before, after)


def _within(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """(path, old, new) of everything that differs inside one part."""
    if old == new:
        return
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        before, after = _declared(old), _declared(new)
    elif _has_parts(old) and _has_parts(new) and (old or new):
        before, after = dict(_by_id(old)), dict(_by_id(new))
        old_order, new_order = _common_orders(before, after)
        if old_order != new_order:
            yield _joined(path, "order"), old_order, new_order
    else:
        yield path, old, new
        return
    for name in dict.fromkeys([*before, *after]):
        yield from _within(_joined(path, name), before.get(name), after.get(name))


def _common_orders(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The names that both have, in the order of each."""
    return [name for name in old if name in new], [name for name in new if name in old]


def _changed(section: str, part_id: str, field: str, old: Any, new: Any) -> PartChange:
    return PartChange(
        part=section,
        id=part_id,
        change="changed",
        field=field,
        old=_without_defaults(old),
        new=_without_defaults(new),
    )


def _declared(part: msgspec.Struct) -> dict[str, Any]:
    """Its fields by name; None where one is unset."""
    return {name: None if v is msgspec.UNSET else v for name, v in asdict(part).items()}


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _has_parts(value: Any) -> bool:
    """A list of parts with ids, or a mapping by name."""
    if isinstance(value, list):
        return all(isinstance(item, msgspec.Struct) and hasattr(item, "id") for item in value)
    return isinstance(value, dict)


def _order(value: Any) -> list[str]:
    """The order of a mapping by name: it gives columns their places."""
    return list(value) if isinstance(value, dict) else []


def _by_id(parts: Any) -> Mapping[str, Any]:
    return parts if isinstance(parts, dict) else {part.id: part for part in parts}


def _without_defaults(value: Any) -> Any:
    """A value as the file would declare it: without what is left at its default."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: _without_defaults(getattr(value, field.name))
            for field in fields(value)
            if field.required or getattr(value, field.name) != _default(field)
        }
    if isinstance(value, list | tuple):
        return [_without_defaults(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_defaults(item) for name, item in value.items()}
    return value


def _default(field: FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return msgspec.UNSET if field.default_factory is msgspec.NODEFAULT else field.default_factory()
