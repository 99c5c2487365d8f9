"""Campaigns that prove what the product says of bad files, kills and long service."""
