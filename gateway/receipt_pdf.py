"""A receipt as PDF on A4, in the language that is active; its fonts are embedded."""

from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from django.utils.translation import get_language_bidi, gettext

from sessions.receipts import Line, Receipt

if TYPE_CHECKING:
    from fpdf import FPDF

_FONTS = Path(__file__).parent / "fonts"
_MARGIN, _WIDTH = 20, 170
_SIZE, _ROW = 9.5, 6
_GREY, _BLACK, _LINE = (110, 116, 124), (24, 28, 34), (205, 210, 216)
# Columns of the lines: text, quantity, unit price, amount.
_COLUMNS = (62, 38, 35, 35)

# Each takes 50 ms of the interpreter; many at once would keep sockets waiting.
_one_at_a_time = Lock()


def pdf_of(receipt: Receipt) -> bytes:
    """Blocks while it is made: not for the event loop."""
    with _one_at_a_time:
        return _Sheet(receipt).drawn()


class _Sheet:
    """One page, from its top to its bottom; from the right where one reads so."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        self.is_rtl = get_language_bidi()
        self.start, self.end = ("R", "L") if self.is_rtl else ("L", "R")
        self.page = _blank(self.is_rtl)

    def drawn(self) -> bytes:
        self._head()
        self._facts()
        self._lines()
        self._totals()
        return bytes(self.page.output())

    def _head(self) -> None:
        receipt, operator = self.receipt, self.receipt.operator
        self.page.set_title(f"{gettext('Receipt')} {receipt.number}")
        self._text(self._apart(operator.name), size=12, bold=True)
        if operator.address:
            self._text(self._apart(operator.address), colour=_GREY)
        if operator.tax_id:
            self._text(f"{gettext('Tax number')}: {operator.tax_id}", colour=_GREY)
        self.page.ln(10)
        self._text(gettext("Receipt for charging"), size=18, bold=True, height=10)
        if receipt.corrected:
            self._text(gettext("Corrected: this replaces all earlier revisions."), bold=True)
        self.page.ln(3)

    def _facts(self) -> None:
        receipt = self.receipt
        place = ", ".join(part for part in (receipt.station_name, receipt.station_address) if part)
        charger = receipt.charger_id + (f" / {receipt.connector_id}" if receipt.connector_id else "")
        customer = receipt.customer
        who = " · ".join(part for part in (customer.name, customer.email) if part) if customer else ""
        rows = [
            (gettext("Receipt number"), receipt.number),
            (gettext("Revision"), str(receipt.revision) if receipt.corrected else ""),
            (gettext("Date of issue"), f"{receipt.issued_at:%Y-%m-%d}"),
            (gettext("Customer"), self._apart(who)),
            (gettext("Station"), self._apart(place)),
            (gettext("Charger"), self._apart(charger)),
            (gettext("Start"), self._time(receipt.started_at_local)),
            (gettext("End"), self._time(receipt.stopped_at_local)),
            (gettext("Duration"), _span(receipt.duration_s)),
            (gettext("Energy"), self._energy(receipt.energy_kwh)),
            (gettext("Meter at start"), self._energy(receipt.meter_start_kwh)),
            (gettext("Meter at end"), self._energy(receipt.meter_stop_kwh)),
        ]
        for label, value in rows:
            if value:
                self._row([(label, 42, self.start, _GREY), (value, 128, self.start, _BLACK)])
        self.page.ln(6)

    def _time(self, local: str | None) -> str:
        """`2026-11-23 09:41:00 (Europe/Berlin, +01:00)`; always with its distance from UTC."""
        if local is None:
            return ""
        day, _, clock = local.partition("T")
        return self._as_is(f"{day} {clock[:8]} ({self.receipt.time_zone}, UTC{clock[8:]})")

    def _energy(self, kwh: Decimal | None) -> str:
        return "" if kwh is None else self._as_is(f"{kwh:.3f} kWh")

    def _lines(self) -> None:
        heads = (gettext("Item"), gettext("Quantity"), gettext("Unit price"), gettext("Amount"))
        self._columns(heads, colour=_GREY)
        self._rule()
        for line in self.receipt.lines:
            quantity = (
                self._apart(f"{_plain(line.quantity)} {_unit(line)}") if line.quantity is not None else ""
            )
            price = self._money(_price(line.unit_price)) if line.unit_price is not None else ""
            self._columns((_name(line), quantity, price, self._money(str(line.amount))))
        self._rule()

    def _totals(self) -> None:
        receipt = self.receipt
        if receipt.tax_percent is not None:
            self._total(gettext("Net"), receipt.net)
            self._total(f"{gettext('Tax')} {_plain(receipt.tax_percent)} %", receipt.tax)
        self._total(gettext("Total"), receipt.gross, bold=True)
        if receipt.tax_percent is not None:
            self.page.ln(2)
            self._text(gettext("All prices include tax."), colour=_GREY, size=8.5)

    def _total(self, label: str, amount: Decimal | None, *, bold: bool = False) -> None:
        self.page.set_font("DejaVu", "B" if bold else "", 11 if bold else _SIZE)
        first, *_, last = _COLUMNS
        cells = [("", first, self.start, _BLACK), (label, _WIDTH - first - last, self.end, _BLACK)]
        self._row([*cells, (self._money(str(amount)), last, self.end, _BLACK)], height=7)
        self.page.set_font("DejaVu", "", _SIZE)

    def _money(self, amount: str) -> str:
        return self._as_is(f"{amount} {self.receipt.currency}")

    def _as_is(self, text: str) -> str:
        """Signs and figures stay in their order, also among text from right to left."""
        return f"\u2066{text}\u2069" if self.is_rtl else text

    def _apart(self, text: str) -> str:
        """A name goes the way its own letters do."""
        return f"\u2068{text}\u2069" if self.is_rtl and text else text

    def _columns(self, texts: tuple[str, ...], *, colour: tuple[int, int, int] = _BLACK) -> None:
        aligned = (self.start, self.end, self.end, self.end)
        self._row(
            [
                (text, width, align, colour)
                for text, width, align in zip(texts, _COLUMNS, aligned, strict=True)
            ]
        )

    def _row(
        self, cells: list[tuple[str, float, str, tuple[int, int, int]]], *, height: float = _ROW
    ) -> None:
        """Cells side by side, each broken into lines where it must; as high as the highest."""
        page = self.page
        top = bottom = page.get_y()
        x: float = _MARGIN + (_WIDTH if self.is_rtl else 0)
        for text, width, align, colour in cells:
            x -= width if self.is_rtl else 0
            page.set_xy(x, top)
            page.set_text_color(*colour)
            page.multi_cell(width, height, text, align=align)
            bottom = max(bottom, page.get_y())
            x += 0 if self.is_rtl else width
        page.set_y(max(bottom, top + height))

    def _text(
        self,
        text: str,
        *,
        size: float = _SIZE,
        bold: bool = False,
        height: float = _ROW,
        colour: tuple[int, int, int] = _BLACK,
    ) -> None:
        if not text:
            return
        self.page.set_font("DejaVu", "B" if bold else "", size)
        self._row([(text, _WIDTH, self.start, colour)], height=height)
        self.page.set_font("DejaVu", "", _SIZE)

    def _rule(self) -> None:
        self.page.set_draw_color(*_LINE)
        y = self.page.get_y() + 1
        self.page.line(_MARGIN, y, _MARGIN + _WIDTH, y)
        self.page.set_y(y + 1.5)


def _blank(is_rtl: bool) -> "FPDF":
    """Imported with the first receipt: 40 MiB that a process without them does not need."""
    from fpdf import FPDF

    page = FPDF(format="A4")
    page.set_margins(_MARGIN, 22, _MARGIN)
    page.set_auto_page_break(True, 20)
    page.c_margin = 0
    page.add_font("DejaVu", "", _FONTS / "DejaVuSans.ttf")
    page.add_font("DejaVu", "B", _FONTS / "DejaVuSans-Bold.ttf")
    page.add_page()
    page.set_font("DejaVu", "", _SIZE)
    page.set_text_shaping(True, direction="rtl" if is_rtl else "ltr")
    return page


def _name(line: Line) -> str:
    return {
        "energy": gettext("Energy"),
        "time": gettext("Time"),
        "session": gettext("Start of charging"),
        "rounding": gettext("Rounding"),
        "correction": gettext("Correction"),
        "cancellation": gettext("Cancelled: nothing is owed"),
    }[line.kind]


def _unit(line: Line) -> str:
    return {"kWh": "kWh", "min": gettext("min"), "session": "×"}.get(line.unit or "", "")


def _plain(value: Decimal) -> str:
    """Without zeros at its end: 120.0000 is 120, 12.345 stays."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _price(value: Decimal) -> str:
    """With two digits at least: 0.4900 is 0.49, 1.0000 is 1.00, 0.0525 stays."""
    text = f"{value:.4f}"
    return text[:-2] if text.endswith("00") else text


def _span(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
