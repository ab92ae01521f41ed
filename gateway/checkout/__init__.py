"""The hosted checkout: a page on which a shopper pays one order, by itself or in a merchant's frame."""
