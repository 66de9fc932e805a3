/* Code 128 (ISO/IEC 15417), code set B: the barcode that parcel scanners read.
 *
 * Each character is six widths, bar and space in turn, of 11 modules together; the
 * stop has seven, of 13. The check character is the sum of the values, each times its
 * place, modulo 103. */
#include "shipping.h"

#include <string.h>

#define START_B 104
#define STOP	106
#define MODULUS 103

/* By value: 0 is the space, 95 is DEL, 96 and above are control characters. */
static const char *const PATTERNS[] = {
	"212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312",	 "132212",
	"221213", "221312", "231212", "112232", "122132", "122231", "113222", "123122",	 "123221",
	"223211", "221132", "221231", "213212", "223112", "312131", "311222", "321122",	 "321221",
	"312212", "322112", "322211", "212123", "212321", "232121", "111323", "131123",	 "131321",
	"112313", "132113", "132311", "211313", "231113", "231311", "112133", "112331",	 "132131",
	"113123", "113321", "133121", "313121", "211331", "231131", "213113", "213311",	 "213131",
	"311123", "311321", "331121", "312113", "312311", "332111", "314111", "221411",	 "431111",
	"111224", "111422", "121124", "121421", "141122", "141221", "112214", "112412",	 "122114",
	"122411", "142112", "142211", "241211", "221114", "413111", "241112", "134111",	 "111242",
	"121142", "121241", "114212", "124112", "124211", "411212", "421112", "421211",	 "212141",
	"214121", "412121", "111143", "111341", "131141", "114113", "114311", "411113",	 "411311",
	"113141", "114131", "311141", "411131", "211412", "211214", "211232", "2331112",
};
_Static_assert(sizeof(PATTERNS) / sizeof(PATTERNS[0]) == STOP + 1, "one pattern for each value");

static void append(struct shipping_barcode *barcode, int value)
{
	for (const char *width = PATTERNS[value]; *width != '\0'; width++) {
		barcode->widths[barcode->count++] = (unsigned char)(*width - '0');
		barcode->modules += *width - '0';
	}
}

bool shipping_barcode_make(const char *text, struct shipping_barcode *barcode)
{
	size_t len = strlen(text);
	int sum = START_B;

	*barcode = (struct shipping_barcode) { .count = 0 };
	if (len > SHIPPING_BARCODE_TEXT_MAX)
		return false;
	append(barcode, START_B);
	for (size_t i = 0; i < len; i++) {
		int value = text[i] - ' ';

		if (text[i] < ' ' || text[i] > '~')
			return false;
		append(barcode, value);
		sum += (int)(i + 1) * value;
	}
	append(barcode, sum % MODULUS);
	append(barcode, STOP);
	return true;
}
