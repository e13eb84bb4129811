"""Addresses of papers and lists."""

app_name = "papers"
urlpatterns: list[object] = []
