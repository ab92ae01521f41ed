"""The business and its REST API: merchants, orders, payments, refunds, and the processors behind them."""
