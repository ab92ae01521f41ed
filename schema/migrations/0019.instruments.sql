-- "Who paid with this address, with this card?": a payment's UPI address or its card's last four, neither of which ever
-- changes, so that settling stays a HOT update.
CREATE INDEX payments_by_instrument
    ON payments (bucket, merchant_id, (coalesce(lower(vpa) COLLATE "C", card_last4)), id);
