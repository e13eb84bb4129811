"""Addresses of papers and lists."""

from django.urls import path

from papers import views

app_name = "papers"
urlpatterns = [
    path("", views.home, name="home"),
    path("search", views.search, name="search"),
    path("papers/<str:date>", views.day, name="day"),
    path("paper/<path:arxiv_id>", views.paper, name="paper"),
]
