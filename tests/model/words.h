/* The words that the model and the services' own tables share. Read by spin's preprocessor and by C:
 * nothing but numbers. bridge.c holds each to the enum that it stands for. */
#ifndef WORDS_H
#define WORDS_H

/* The status of an order. */
#define O_PENDING	 0
#define O_RESERVED	 1
#define O_PAID		 2
#define O_SHIPPED	 3
#define O_DELIVERED	 4
#define O_REJECTED	 5
#define O_PAYMENT_FAILED 6
#define O_CANCELLED	 7
#define O_REFUNDED	 8

/* What an order hears. */
#define HEARS_RESERVED	      0
#define HEARS_REJECTED	      1
#define HEARS_SOLD	      2
#define HEARS_RELEASED	      3
#define HEARS_EXPIRED	      4
#define HEARS_CONFIRMED	      5
#define HEARS_DECLINED	      6
#define HEARS_NOT_CHARGED     7
#define HEARS_LABEL	      8
#define HEARS_SHIPPED	      9
#define HEARS_DELIVERED	      10
#define HEARS_VOIDED	      11
#define HEARS_CANCEL_ASKED    12
#define HEARS_REFUND_ASKED    13
#define HEARS_REFUNDED_PARTLY 14
#define HEARS_REFUNDED_FULLY  15
#define HEARS_REFUND_FAILED   16

/* The money of an order, as the order knows it. */
#define M_PENDING  0
#define M_CAPTURED 1
#define M_DENIED   2

/* The state of a reservation. */
#define G_NONE		  0
#define G_RESERVED	  1
#define G_REJECTED	  2
#define G_RELEASED	  3
#define G_SOLD		  4
#define G_EXPIRED	  5
#define G_CANCELLED_EARLY 6

/* What a reservation hears, and what is done then. */
#define G_HEARS_CREATED	       0
#define G_HEARS_PAID	       1
#define G_HEARS_PAYMENT_FAILED 2
#define G_HEARS_CANCELLED      3
#define G_HEARS_RECALLED       4
#define G_HEARS_TIME_IS_UP     5

#define DO_REFUSE  0
#define DO_WAIT	   1
#define DO_DECIDE  2
#define DO_SELL	   3
#define DO_TAKE	   4
#define DO_RELEASE 5
#define DO_RETURN  6
#define DO_EXPIRE  7
#define DO_CLOSE   8
#define DO_ENTOMB  9
#define DO_ANSWER  10
#define DO_IGNORE  11

/* The state of a payment, and what it hears. */
#define P_REQUESTED 0
#define P_CHARGING  1
#define P_CAPTURED  2
#define P_FAILED    3
#define P_CANCELLED 4
#define P_NONE	    5 /* there is no row */

#define P_HEARS_ASKED	  0
#define P_HEARS_SUCCEEDED 1
#define P_HEARS_DECLINED  2
#define P_HEARS_CANCELLED 3

/* The state of a refund at the payment service, and what it hears. */
#define R_REQUESTED 0
#define R_SENT	    1
#define R_DONE	    2
#define R_REFUSED   3
#define R_NONE	    4

#define R_HEARS_ASKED	  0
#define R_HEARS_SUCCEEDED 1
#define R_HEARS_DECLINED  2

/* The same at the order. */
#define A_REQUESTED 0
#define A_DONE	    1
#define A_FAILED    2
#define A_NONE	    3

/* The state of a shipment, and what it hears. */
#define S_LABELLED  0
#define S_SHIPPED   1
#define S_DELIVERED 2
#define S_VOIDED    3
#define S_CANCELLED 4
#define S_NONE	    5

#define S_HEARS_REQUESTED 0
#define S_HEARS_RECALLED  1
#define S_HEARS_SHIPPED	  2
#define S_HEARS_DELIVERED 3

/* What payment and shipping decide. */
#define SAYS_REFUSE  0
#define SAYS_IGNORE  1
#define SAYS_ANSWER  2
#define SAYS_GO	     3
#define SAYS_THROUGH 4
#define SAYS_WAIT    5 /* only orders do */

#define MODEL_TOTAL 2 /* what an order costs: enough for a part and a rest */

/* The messages, as bits of a set. Of refunds there is one for each of two. */
#define TELL_CREATED		1
#define TELL_PAYMENT_REQUESTED	2
#define TELL_PAID		4
#define TELL_SHIPMENT_REQUESTED 8
#define TELL_PAYMENT_FAILED	16
#define TELL_CANCELLED_TO_STOCK 32
#define TELL_CANCELLED_TO_MONEY 64
#define TELL_RECALL_REQUESTED	128
#define TELL_RECALLED		256
#define TELL_REFUND_REQUESTED	512 /* and 1024 */
#define TELL_RESERVED		2048
#define TELL_REJECTED		4096
#define TELL_SOLD		8192
#define TELL_RELEASED		16384
#define TELL_EXPIRED		32768
#define TELL_CONFIRMED		65536
#define TELL_DECLINED		131072
#define TELL_REFUNDED		262144	/* and 524288 */
#define TELL_REFUND_FAILED	1048576 /* and 2097152 */
#define TELL_LABEL		4194304
#define TELL_SHIPPED		8388608
#define TELL_DELIVERED		16777216
#define TELL_NOT_CHARGED	67108864
#define TELL_VOIDED		33554432

#endif
