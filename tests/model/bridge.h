/* The tables and rules of the services, in plain numbers (words.h), for the model (order.pml). */
#ifndef BRIDGE_H
#define BRIDGE_H

/* As much of an order as its rules look at. */
struct model_order {
	unsigned char status, parcel, settled, money, asked, back;
};

/* Changes the order as its workflow does and returns the messages it sends (TELL_…). minor is
 * the amount of the refund that the event is about; what is asked for goes into slot. */
int model_order_hears(struct model_order *order, int event, int minor, int slot);

#define MODEL_ORDER_EVENTS 18

/* All else, looked up: spin lets no function be called in an expression. */
extern struct model_tables {
	unsigned char order_would[9][MODEL_ORDER_EVENTS]; /* by status, event: SAYS_… */
	int order_owes[9][5][2][3][3][3];		  /* by struct model_order: TELL_… */
	int order_refundable[9][5][2][3][3][3];
	unsigned char goods_do[7][6];  /* by state, event: DO_… */
	int goods_answer[7][6];	       /* the message that DO_ANSWER tells */
	int on_hand[12], reserved[12]; /* by action: -1, 0 or 1 times the quantity */
	unsigned char payment_says[5][4], payment_next[5][4]; /* by state, event: SAYS_…, P_… */
	unsigned char refund_fits[5][3][3];		      /* by state, others, amount */
	unsigned char refund_says[4][3], refund_next[4][3];
	unsigned char shipment_says[5][4], shipment_next[5][4];
} MODEL;

#endif
