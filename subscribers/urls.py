"""Addresses of the reader's own pages."""

from django.urls import path

from subscribers import views
from subscribers.models import Token

app_name = "subscribers"
urlpatterns = [
    path("subscribe", views.sign_up, name="sign_up"),
    path("subscribe/check-your-inbox", views.check_inbox, name="check_inbox"),
    path("c/<str:token>", views.confirm, name="confirm"),
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("a/<str:token>", views.move, {"purpose": Token.Purpose.CHANGE_ADDRESS}, name="move"),
    path("a/<str:token>/back", views.move, {"purpose": Token.Purpose.CHANGE_BACK}, name="move_back"),
    path("undo/<str:token>", views.undo, name="undo"),
]
