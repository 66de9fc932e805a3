/* The label: a PDF of 100 x 150 mm with sender, address, order number and the tracking
 * number as text and as a barcode.
 *
 * libhpdf notes the first error in the document and answers every later call with it, so
 * that one look at the end suffices; without an error handler it calls nobody back. The
 * page is not compressed: at some 5 KB it need not be, and its text can be found in it. */
#include <hpdf.h>
#include <string.h>

#include "shipping.h"

#define MILLIMETRE     (72.0F / 25.4F)
#define WIDTH	       (100 * MILLIMETRE)
#define HEIGHT	       (150 * MILLIMETRE)
#define MARGIN	       (6 * MILLIMETRE)
#define INNER_WIDTH    (WIDTH - 2 * MARGIN)
#define BARCODE_HEIGHT (25 * MILLIMETRE)
#define QUIET_MODULES  20 /* ten on either side: a scanner needs them */
#define SMALLEST_SIZE  4.0F

/* Where the next line goes, and how its text is shown. */
struct pen {
	struct sk_arena *arena;
	HPDF_Page page;
	HPDF_Font font;
	bool unicode; /* the font takes UTF-8 */
	float y;
};

static bool choose_font(HPDF_Doc pdf, const char *path, struct pen *pen)
{
	const char *name;

	pen->unicode = *path != '\0';
	if (!pen->unicode) {
		pen->font = HPDF_GetFont(pdf, "Helvetica", "WinAnsiEncoding");
		return pen->font != NULL;
	}
	HPDF_UseUTFEncodings(pdf);
	name = HPDF_LoadTTFontFromFile(pdf, path, HPDF_TRUE);
	pen->font = name != NULL ? HPDF_GetFont(pdf, name, "UTF-8") : NULL;
	return pen->font != NULL;
}

/* One line in the given size, or smaller where it would not fit. */
static void write_line(struct pen *pen, float size, const char *text)
{
	const char *shown = pen->unicode ? text : shipping_plain_text(pen->arena, text);

	HPDF_Page_SetFontAndSize(pen->page, pen->font, size);
	while (size > SMALLEST_SIZE && HPDF_Page_TextWidth(pen->page, shown) > INNER_WIDTH) {
		size -= 0.5F;
		HPDF_Page_SetFontAndSize(pen->page, pen->font, size);
	}
	pen->y -= size * 1.25F;
	HPDF_Page_BeginText(pen->page);
	HPDF_Page_TextOut(pen->page, MARGIN, pen->y, shown);
	HPDF_Page_EndText(pen->page);
}

static void write_line_if_any(struct pen *pen, float size, const char *text)
{
	if (*text != '\0')
		write_line(pen, size, text);
}

static void draw_rule(struct pen *pen)
{
	pen->y -= 3 * MILLIMETRE;
	HPDF_Page_SetLineWidth(pen->page, 0.75F);
	HPDF_Page_MoveTo(pen->page, MARGIN, pen->y);
	HPDF_Page_LineTo(pen->page, WIDTH - MARGIN, pen->y);
	HPDF_Page_Stroke(pen->page);
	pen->y -= 1 * MILLIMETRE;
}

static void draw_sender(struct pen *pen, const char *sender)
{
	while (*sender != '\0') {
		size_t len = strcspn(sender, "|");

		write_line_if_any(pen, 8, sk_arena_printf(pen->arena, "%.*s", (int)len, sender));
		sender += len + (sender[len] == '|');
	}
}

static void draw_address(struct pen *pen, const struct shipping_address *address)
{
	write_line(pen, 8, "TO");
	write_line_if_any(pen, 14, address->name);
	write_line_if_any(pen, 14, address->line1);
	write_line_if_any(pen, 14, address->line2);
	write_line_if_any(
		pen, 14,
		sk_arena_printf(pen->arena, "%s  %s", address->postal_code, address->city));
	write_line(pen, 18, address->country);
}

static bool draw_barcode(struct pen *pen, const char *text)
{
	struct shipping_barcode barcode;
	float module, x;

	if (!shipping_barcode_make(text, &barcode))
		return false;
	module = INNER_WIDTH / (float)(barcode.modules + QUIET_MODULES);
	x = MARGIN + module * QUIET_MODULES / 2;
	pen->y -= BARCODE_HEIGHT + 2 * MILLIMETRE;
	for (int i = 0; i < barcode.count; i++) {
		float width = module * (float)barcode.widths[i];

		if (i % 2 == 0)
			HPDF_Page_Rectangle(pen->page, x, pen->y, width, BARCODE_HEIGHT);
		x += width;
	}
	HPDF_Page_Fill(pen->page);
	return true;
}

static bool draw(HPDF_Doc pdf, const struct shipping_service *service,
		 const struct shipment *shipment, struct pen *pen)
{
	if (!choose_font(pdf, service->label_font, pen))
		return false;
	pen->page = HPDF_AddPage(pdf);
	HPDF_Page_SetWidth(pen->page, WIDTH);
	HPDF_Page_SetHeight(pen->page, HEIGHT);
	pen->y = HEIGHT - MARGIN;
	draw_sender(pen, service->sender);
	draw_rule(pen);
	draw_address(pen, &shipment->address);
	draw_rule(pen);
	write_line(pen, 10, sk_arena_printf(pen->arena, "Order %s", shipment->number));
	write_line(pen, 10, sk_arena_printf(pen->arena, "Carrier %s", shipment->carrier));
	draw_rule(pen);
	if (!draw_barcode(pen, shipment->tracking_number))
		return false;
	write_line(pen, 12, shipment->tracking_number);
	return true;
}

static bool save(HPDF_Doc pdf, struct sk_arena *arena, struct shipping_label *label)
{
	HPDF_UINT32 len;
	HPDF_BYTE *bytes;

	if (HPDF_SaveToStream(pdf) != HPDF_OK)
		return false;
	len = HPDF_GetStreamSize(pdf);
	bytes = sk_arena_alloc(arena, len);
	HPDF_ResetStream(pdf);
	if (HPDF_ReadFromStream(pdf, bytes, &len) != HPDF_OK)
		return false;
	*label = (struct shipping_label) { bytes, len };
	return true;
}

enum sk_status shipping_label_make(struct sk_context *context,
				   const struct shipping_service *service,
				   const struct shipment *shipment, struct shipping_label *label)
{
	struct pen pen = { .arena = context->arena };
	HPDF_Doc pdf = HPDF_New(NULL, NULL);
	enum sk_status st = SK_OK;

	if (pdf == NULL)
		return sk_fail(context, SK_NO_MEMORY, "no_memory", "no memory for a label");
	HPDF_SetInfoAttr(pdf, HPDF_INFO_TITLE, shipment->tracking_number);
	if (!draw(pdf, service, shipment, &pen) || HPDF_GetError(pdf) != HPDF_OK ||
	    !save(pdf, context->arena, label))
		st = sk_fail(context, SK_INTERNAL, "label_failed",
			     "the label of order %s cannot be made (libhpdf error 0x%04lx)",
			     shipment->number, (unsigned long)HPDF_GetError(pdf));
	HPDF_Free(pdf);
	return st;
}
