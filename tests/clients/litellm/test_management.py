"""LiteLLM's own client of its proxy: keys, users, teams, models and health are managed with it as before."""

import pytest
import requests
from litellm.proxy.client import Client
from litellm.proxy.client.exceptions import NotFoundError, UnauthorizedError
from litellm.proxy.client.users import UsersManagementClient

from processes import CLIENTS, MASTER_KEY, Gateway, Provider

PROVIDERS = ["openai", "azure", "anthropic"]


@pytest.fixture(scope="module")
def url():
    providers = {name: Provider() for name in PROVIDERS}
    gateway = Gateway(CLIENTS / "gateway.yaml", providers)
    yield gateway.url
    assert gateway.stop() == 0
    for provider in providers.values():
        assert provider.stop() == 0


@pytest.fixture(scope="module")
def client(url):
    return Client(base_url=url, api_key=MASTER_KEY)


@pytest.fixture(scope="module")
def users(url):
    return UsersManagementClient(url, MASTER_KEY)


def chat(url, key, model="gpt"):
    """The status of a chat completion with this key."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30).status_code


def test_a_key_is_made_used_changed_and_deleted(url, client):
    made = client.keys.generate(
        models=["gpt"], duration="1h", key_alias="by-client", aliases={"mine": "gpt"}, config={}
    )
    key = made["key"]
    assert key.startswith("sk-") and len(key) == 25
    assert chat(url, key) == 200
    assert chat(url, key, "claude") == 403
    assert chat(url, key, "mine") == 200

    info = client.keys.info(made["token_id"])["info"]
    assert info["key_alias"] == "by-client" and info["models"] == ["gpt"] and info["spend"] >= 0

    assert client.keys.update(key, models=["gpt", "claude"])["models"] == ["gpt", "claude"]
    assert chat(url, key, "claude") == 200

    listed = client.keys.list(key_alias="by-client", return_full_object=True, page=1, size=10)
    assert listed["total_count"] == 1 and listed["keys"][0]["token"] == made["token_id"]
    assert listed["keys"][0]["key_name"] == f"sk-...{key[-4:]}"

    assert client.keys.delete(key_aliases=["by-client"])["deleted_keys"] == ["by-client"]
    assert chat(url, key) == 401
    with pytest.raises(requests.exceptions.HTTPError):
        client.keys.info(made["token_id"])


def test_a_user_is_made_found_and_deleted(users):
    made = users.create_user({"user_email": "ann@example.com", "user_role": "internal_user"})
    user_id = made["user_id"]
    assert made["key"].startswith("sk-")
    assert users.get_user(user_id)["user_info"]["user_email"] == "ann@example.com"
    assert users.get_user_v2(user_id)["user_role"] == "internal_user"
    assert user_id in [user["user_id"] for user in users.list_users()]
    assert users.delete_user([user_id]) == 1
    with pytest.raises(NotFoundError):
        users.get_user(user_id)


def test_teams_are_listed(client):
    body = {"team_id": "by-client", "team_alias": "By client", "models": ["gpt"]}
    client.http.request("POST", "/team/new", json=body)
    assert [team["team_id"] for team in client.teams.list()] == ["by-client"]
    page = client.teams.list_v2(team_alias="client", sort_by="team_alias")
    assert page["total"] == 1 and page["teams"][0]["models"] == ["gpt"]
    assert client.teams.get_available() == []
    client.http.request("POST", "/team/delete", json={"team_ids": ["by-client"]})
    assert client.teams.list() == []


def test_models_are_listed(client):
    assert "gpt" in [model["id"] for model in client.models.list()]


def test_a_wrong_key_is_refused_by_its_status(url):
    stranger = Client(base_url=url, api_key="sk-nobody-has-this-key")
    with pytest.raises(UnauthorizedError):
        stranger.keys.list()
    with pytest.raises(UnauthorizedError):
        UsersManagementClient(url, "sk-nobody-has-this-key").list_users()
