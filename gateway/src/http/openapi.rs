//! The description of the API, made from the code, and the page to try it.

use actix_web::dev::{HttpServiceFactory, Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::web;
use schemas::event::EventRecord;
use schemas::socket::{ClientFrame, ServerFrame, VisitorClientFrame, VisitorServerFrame};
use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::route::{Access, Endpoints};
use super::{
    analytics, auth, business_hours, canned_replies, channels, contacts, conversations, dead_letters, files, lists,
    members, messages, notifications, saved_views, search, sla, teams, tokens, widget, workspaces,
};

/// Swagger UI sets styles from its script; nothing else is looser than elsewhere.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Saler",
        description = "A real-time, multi-tenant messaging hub. Errors are RFC 9457 problems; lists are pages with opaque \
                       cursors; every send wants an Idempotency-Key. Live events come over the socket at /api/v1/socket.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        auth::sign_in, auth::refresh, auth::sign_out, auth::switch, auth::me, auth::sessions, auth::end_session, auth::change_password,
        workspaces::list, workspaces::create, workspaces::get, workspaces::change,
        business_hours::put_business_hours, business_hours::remove_business_hours,
        workspaces::labels, workspaces::put_label, workspaces::remove_label,
        members::list, members::create, members::get, members::change, members::agents,
        tokens::list, tokens::create, tokens::revoke,
        channels::list, channels::create, channels::get, channels::change,
        contacts::list, contacts::get, contacts::change, contacts::conversations,
        lists::list, lists::counts,
        conversations::start, conversations::get, conversations::change, conversations::change_many,
        conversations::labels, conversations::mark_read,
        messages::list, messages::send, messages::retry, messages::add_note,
        files::upload, files::upload_of_visitor, files::link,
        canned_replies::list, canned_replies::put, canned_replies::remove, canned_replies::rendered,
        teams::list, teams::create, teams::get, teams::change, teams::remove,
        sla::list, sla::put,
        notifications::list, notifications::mark_read,
        saved_views::list, saved_views::create, saved_views::change, saved_views::remove,
        search::search,
        widget::settings,
        dead_letters::list, dead_letters::get, dead_letters::replay_one, dead_letters::discard,
        analytics::sql, analytics::kpis, analytics::kpi_definitions, analytics::kpi_series,
    ),
    // The frames of the sockets, which no path speaks of.
    components(schemas(ClientFrame, ServerFrame, VisitorClientFrame, VisitorServerFrame, EventRecord)),
    modifiers(&Bearer, &OperationIds),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut Description) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An access token from /auth/sign-in, or an API token."))
            .build();
        description.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Names each operation by its tag and its handler, such as `teams_list`: handlers of several tags have one name.
struct OperationIds;

impl Modify for OperationIds {
    fn modify(&self, description: &mut Description) {
        for item in description.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                let tag = operation.tags.as_ref().and_then(|tags| tags.first()).map(|tag| tag.replace(' ', "_"));
                if let (Some(tag), Some(handler)) = (tag, &operation.operation_id) {
                    operation.operation_id = Some(format!("{tag}_{handler}"));
                }
            }
        }
    }
}

/// The description of the API.
pub fn description() -> Description {
    Api::openapi()
}

async fn json() -> web::Json<Description> {
    web::Json(description())
}

/// The page to try the API, at `/api/v1/docs/`.
pub fn swagger() -> impl HttpServiceFactory {
    let config = Config::from("/api/v1/openapi.json").validator_url("none").display_request_duration(true);
    web::scope("/api/v1/docs")
        .wrap_fn(|request, service| {
            let answer = service.call(request);
            async move {
                let mut answer: ServiceResponse<_> = answer.await?;
                answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
                Ok(answer)
            }
        })
        .route("", web::get().to(async || web::Redirect::to("/api/v1/docs/")))
        .service(SwaggerUi::new("/{_:.*}").config(config))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints.add(Method::GET, "/openapi.json", Access::Public, json);
}
