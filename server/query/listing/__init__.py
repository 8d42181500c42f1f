"""What is asked of all items that a query may show: totals and facets, an order by columns, and browsing."""
