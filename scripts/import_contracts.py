"""The doors of a room, as a contract of import-linter: see ``.importlinter``."""

from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomDoors(Contract):
    """A room is entered by its ``doors`` only; ``extra_doors`` are single modules, with all below, also open."""

    rooms = fields.SetField(subfield=fields.StringField())
    doors = fields.SetField(subfield=fields.StringField())
    extra_doors = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find every import of one room by another that does not come through a door."""
        rooms = _values(self.rooms)
        broken = []
        for importer in sorted(graph.modules):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if _room(importer) in rooms and self._is_through_a_wall(_room(importer), imported, rooms):
                    details = graph.get_import_details(importer=importer, imported=imported)
                    broken.append((importer, imported, details[0]["line_number"] if details else 0))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import and its line."""
        for importer, imported, line in check.metadata["broken"]:
            output.print_error(
                f"{importer} (line {line}) imports {imported}, which is no door of its room.", bold=False
            )

    def _is_through_a_wall(self, own_room: str, imported: str, rooms: set[str]) -> bool:
        room, _, inside = imported.partition(".")
        if room == own_room or room not in rooms:
            return False
        if any(imported == door or imported.startswith(f"{door}.") for door in _values(self.extra_doors)):
            return False
        return inside.partition(".")[0] not in _values(self.doors)


def _values(field: object) -> set[str]:
    """The field's value: import-linter puts it in the place of its declaration."""
    return cast("set[str]", field)


def _room(module: str) -> str:
    return module.partition(".")[0]
