"""Addresses of the reader's own pages."""

app_name = "subscribers"
urlpatterns: list[object] = []
