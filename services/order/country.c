/* The countries of ISO 3166-1 that a parcel can be sent to, and those whose addresses have
 * no postal code, so that nobody there has to invent one. */
#include "order.h"

#include <string.h>

/* In the order of the alphabet, for people; a scan of 750 bytes needs no index. */
static const char COUNTRIES[] =
	"AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ "
	"BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM "
	"DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS "
	"GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN "
	"KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ "
	"MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
	"PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
	"SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI "
	"VN VU WF WS YE YT ZA ZM ZW ";

static const char WITHOUT_POSTAL_CODES[] =
	"AE AG AO AQ AW BF BI BJ BO BQ BS BW BZ CD CF CG CI CK CM CW DJ DM ER FJ GA GD GH GM GQ GY "
	"HK IE JM KI KM KN KP LY ML MO MR MW NR NU PA QA RW SB SC SL SR SS ST SX SY TD TG TK TL TO "
	"TV UG VU YE ZW ";

static bool listed(const char *list, const char *code)
{
	for (; *list != '\0'; list += 3)
		if (strncmp(list, code, 2) == 0)
			return code[0] != '\0' && code[1] != '\0' && code[2] == '\0';
	return false;
}

bool order_country_known(const char *code)
{
	return listed(COUNTRIES, code);
}

bool order_country_has_postal_codes(const char *code)
{
	return !listed(WITHOUT_POSTAL_CODES, code);
}
