"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path, re_path

from newsletter import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("anymail/", include("newsletter.webhooks")),
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
    path("robots.txt", views.robots, name="robots"),
    path("m/<str:token>/", views.digest, name="digest"),
    path("r/<str:token>/", views.sent_digests, name="sent_digests"),
    re_path(
        r"^m/(?P<token>[\w-]+)/(?P<direction>more|less)/(?P<arxiv_id>[\w./-]+)$", views.like_paper, name="like_paper"
    ),
    re_path(r"^m/(?P<token>[\w-]+)/to/(?P<arxiv_id>[\w./-]+)/(?P<key>[a-z]+)$", views.follow_link, name="follow_link"),
    path("m/<str:token>/open.gif", views.opened, name="opened"),
    path("m/<str:token>/mute/<int:number>", views.mute_interest, name="mute_interest"),
    path("m/<str:token>/mute", views.mute_word, name="mute_word"),
    path("m/<str:token>/preferences", views.preferences, name="preferences"),
    path("m/<str:token>/address", views.change_address, name="change_address"),
    path("m/<str:token>/link", views.fresh_link, name="fresh_link"),
    path("", include("subscribers.urls")),
    path("", include("papers.urls")),
]
