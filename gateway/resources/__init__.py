"""The resource API, in DRF's own habits: read-only, paginated, filterable.

Only the pagination is here: DRF's views import it while they are themselves imported, so it stands before them.
"""

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
