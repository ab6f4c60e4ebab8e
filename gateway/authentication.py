"""Bearer tokens at the REST API: the same look at them as the socket's."""

from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import Token

from gateway import auth


class TokenAuthentication(JWTAuthentication):
    """simplejwt's, which asks whether the user has logged out since, too."""

    def get_user(self, validated_token: Token) -> Any:
        try:
            return auth.user_for(auth.claims_in(validated_token))
        except (KeyError, ValueError, auth.Refused) as error:
            raise AuthenticationFailed(auth.INVALID_TOKEN) from error


class TokenScheme(SimpleJWTScheme):
    """How the published document names it."""

    target_class = "gateway.authentication.TokenAuthentication"
