//! The one way in: finds out who calls, and whether that caller may enter the route.
//!
//! Every route is behind it; a route takes the caller from the request ([`Operator`]) and never looks
//! at a key itself. What of all records a caller may see or change is decided by the routes.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

use super::fault::Fault;
use super::rights::{Right, right};
use super::ui::Visitor;
use super::{ClientDialect, Problem, REQUEST_ID, Shared, auth, no_entry, request_id};
use crate::keys::access::Area;
use crate::keys::record::{Member, MemberRole, Team};
use crate::keys::{self, AuthError, Caller, Moment, Principal, Role};

/// Who has entered a route.
#[derive(Clone, Debug)]
pub(crate) struct Operator(pub Caller);

impl Operator {
    /// What the caller may manage; `None` is a key without a user, which may nothing.
    pub(crate) fn role(&self) -> Option<Role> {
        match &self.0 {
            // Without a master key, only this machine is served.
            Caller::Master | Caller::Anonymous => Some(Role::ProxyAdmin),
            Caller::Key(principal) => principal.user_role(),
        }
    }

    /// The caller's key with all that is known of it; the master key is none.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.0.principal().map(Arc::as_ref)
    }

    /// The user whose key it is.
    pub(crate) fn user_id(&self) -> Option<&str> {
        self.principal()?.user_id()
    }

    /// The hash of the caller's key.
    pub(crate) fn key_hash(&self) -> Option<&str> {
        self.principal().map(|principal| &**principal.hash())
    }

    /// Who it is, for histories and the audit log: a user's id, a key's alias, or `master`.
    pub(crate) fn name(&self) -> &str {
        match &self.0 {
            Caller::Anonymous | Caller::Master => self.0.owner(),
            Caller::Key(principal) => principal.user_id().unwrap_or_else(|| principal.name()),
        }
    }

    /// Whether it sees what is not its own.
    pub(crate) fn sees_all(&self) -> bool {
        Right::SeeAll.is_given_to(self.role())
    }

    /// Whether it may change what is not its own.
    pub(crate) fn changes_all(&self) -> bool {
        Right::ChangeAll.is_given_to(self.role())
    }

    /// Whether it manages an organisation.
    pub(crate) fn leads(&self, organisation: Option<&str>) -> bool {
        let holder = self.principal().filter(|it| it.user_role() == Some(Role::OrgAdmin));
        let user = holder.and_then(|holder| holder.user.as_ref());
        let own = user.and_then(|user| user.organization_id.as_deref());
        own.is_some() && own == organisation
    }

    /// Whether it manages a team: as the team's admin, or as its organisation's.
    pub(crate) fn runs(&self, team: &Team) -> bool {
        let is_admin = |member: &Member| {
            member.role == MemberRole::Admin && self.user_id() == Some(member.user_id.as_str())
        };
        // A key without a user's record has no rights, whatever a team says of its user's name.
        let has_user = self.role().is_some();
        has_user && team.members.iter().any(is_admin) || self.leads(team.organization_id.as_deref())
    }

    /// Whether its user is in a team, or its key is one of the team's.
    pub(crate) fn is_in(&self, team: &Team) -> bool {
        let user_id = self.user_id();
        let is_user = |member: &Member| user_id == Some(member.user_id.as_str());
        let of_key = self.principal().and_then(Principal::team_id);
        of_key == Some(team.team_id.as_str()) || team.members.iter().any(is_user) || self.runs(team)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        // Without the gate nobody has entered.
        let entered = parts.extensions.get::<Self>().cloned();
        entered.ok_or_else(|| no_entry(&AuthError::Missing, &parts.headers, ClientDialect::OpenAi))
    }
}

/// Lets a request pass to its route, or says why not.
pub(super) async fn enter(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let needed = right(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    // Asking which methods there are is open, as it is to browsers.
    if needed == Right::Open || *request.method() == Method::OPTIONS {
        return pass(request, next).await;
    }
    let dialect = dialect(request.uri(), request.headers());
    let visitor = request.extensions().get::<Visitor>().copied().unwrap_or_default();
    let carried = (request.method(), request.headers(), visitor);
    match identify(&shared, carried, request.uri(), needed).await {
        Err(error) => no_entry(&error, request.headers(), dialect),
        Ok(Some(operator)) if !needed.is_given_to(operator.role()) => {
            let answer = not_allowed(&operator, request.uri(), request.headers());
            by(operator.0, answer)
        }
        Ok(Some(Operator(caller)))
            if !caller.opens(request.uri().path(), area(needed, &request)) =>
        {
            by(caller, not_opened(request.uri(), request.headers()))
        }
        Ok(Some(operator)) => {
            request.extensions_mut().insert(operator.clone());
            by(operator.0, pass(request, next).await)
        }
        Ok(None) => pass(request, next).await,
    }
}

/// An answer that tells the gateway whose request it was, for the access log.
pub(super) fn by(caller: Caller, mut answer: Response) -> Response {
    answer.extensions_mut().insert(caller);
    answer
}

/// The route's answer; a fault is written here, with the request's name.
async fn pass(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let mut answer = next.run(request).await;
    let Some(fault) = answer.extensions_mut().remove::<Fault>() else { return answer };
    let mut told = fault.response(id.as_ref().and_then(|id| id.to_str().ok()));
    if let Some(wait) = answer.headers().get(RETRY_AFTER) {
        told.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    told
}

/// Who calls; `None` where nobody has to say so.
pub(super) async fn identify(
    shared: &Shared,
    carried: (&Method, &HeaderMap, Visitor),
    uri: &Uri,
    needed: Right,
) -> Result<Option<Operator>, AuthError> {
    let (_, headers, _) = carried;
    let access = shared.source.access();
    if needed == Right::Metrics && !access.require_auth_for_metrics {
        return Ok(None);
    }
    let googles = match dialect(uri, headers) {
        ClientDialect::Gemini => auth::google_key(headers, uri.query()),
        ClientDialect::OpenAi | ClientDialect::Responses | ClientDialect::Anthropic => None,
    };
    let candidates =
        || auth::candidates(headers, access.key_header.as_ref()).chain(googles.as_deref());
    let (ring, now) = (&shared.stores.keys, Moment::now());
    if candidates().next().is_none() && shared.source.dashboard().enabled {
        match shared.sessions.caller(&access, ring, carried, now).await {
            Ok(Some(caller)) => return Ok(Some(Operator(caller))),
            Ok(None) => {}
            // A cookie that another gateway on this machine has left is in nobody's way.
            Err(AuthError::SessionEnded) if !access.is_guarded() => {}
            Err(error) => return Err(error),
        }
    }
    let caller = keys::identify(&access, ring, candidates, now).await?;
    Ok(Some(Operator(caller)))
}

/// The family of paths that a route belongs to.
fn area(needed: Right, request: &Request) -> Area {
    let path = request.uri().path();
    let path = path.strip_prefix("/v1beta").or_else(|| path.strip_prefix("/v1")).unwrap_or(path);
    match needed {
        _ if path == "/models" || path.starts_with("/models/") => Area::Models,
        Right::Open | Right::Metrics | Right::AnyKey | Right::SeeOwn | Right::SeeAll => Area::Info,
        Right::ChangeOwn | Right::ChangeAll => Area::Management,
    }
}

/// The key is for other paths.
fn not_opened(uri: &Uri, headers: &HeaderMap) -> Response {
    let message = format!(
        "Virtual key is not allowed to call this route. Tried to call route: {}",
        super::shortened(uri.path())
    );
    let problem = Problem {
        status: 403,
        kind: "auth_error",
        code: "route_not_allowed",
        message: &message,
        param: None,
        request_id: request_id(headers),
        telling: None,
    };
    problem.response(dialect(uri, headers))
}

/// Whose words a client expects: Google's SDKs ask for models below `/v1` too.
fn dialect(uri: &Uri, headers: &HeaderMap) -> ClientDialect {
    let path = uri.path();
    let models = ["/models", "/v1/models"].iter().any(|prefix| path.starts_with(prefix));
    let googles = path.starts_with("/v1beta/") || models && auth::is_googles(headers, uri.query());
    if googles { ClientDialect::Gemini } else { ClientDialect::OpenAi }
}

/// LiteLLM's words for it, but for the user's id.
fn not_allowed(operator: &Operator, uri: &Uri, headers: &HeaderMap) -> Response {
    let role = operator.role().map_or("none", Role::word);
    let message = format!(
        "user not allowed to access this route, role= {role}. Trying to access: {}",
        super::shortened(uri.path())
    );
    let problem = Problem {
        status: 403,
        kind: "auth_error",
        code: "not_allowed",
        message: &message,
        param: None,
        request_id: request_id(headers),
        telling: None,
    };
    problem.response(dialect(uri, headers))
}
