"""Addresses of the reader's own pages."""

from django.urls import path

from subscribers import views

app_name = "subscribers"
urlpatterns = [
    path("subscribe", views.sign_up, name="sign_up"),
    path("subscribe/check-your-inbox", views.check_inbox, name="check_inbox"),
    path("c/<str:token>", views.confirm, name="confirm"),
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("undo/<str:token>", views.undo, name="undo"),
]
