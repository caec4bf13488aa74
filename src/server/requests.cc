// A path may have a page and a WebSocket. A request that asks for a WebSocket goes to the
// WebSocket, also if it asks in a wrong way, so that its answer says what is wrong.
#include "server/requests.h"

#include "server/handshake.h"
#include "server/pending_upgrade.h"

#include <memory>
#include <new>
#include <string>
#include <string_view>

namespace tern::server {

using connection::LiveConnection;

namespace {

constexpr std::string_view page_methods = "GET, HEAD, OPTIONS";

Response allow_page_methods(int status) {
  return Response::status(status).header("Allow", std::string(page_methods));
}

// A server may ignore an upgrade to another protocol than WebSocket (RFC 9110 §7.8).
bool asks_for_websocket(const LiveConnection& connection) noexcept {
  const std::error_code why_not = connection.engine().upgrade_error();
  return why_not != Errc::upgrade_required && why_not != Errc::method_not_allowed;
}

void serve_page(LiveConnection& connection, Route& route, const Request& request) {
  Handshake handshake(connection);
  if (request.method() == "GET" || request.method() == "HEAD") {
    return handshake.respond(route.page(request));
  }
  const int status = request.method() == "OPTIONS" ? 204 : 405;  // RFC 9110 §9.3.7, §15.5.6
  handshake.respond(allow_page_methods(status));
}

void serve_websocket(LiveConnection& connection, Route& route, const Request& request) {
  Handshake handshake(connection);
  if (connection.engine().upgrade_error()) return handshake.refuse();
  if (route.type != nullptr) {
    return handshake.accept(route.accept, *route.type,
                            [&](void* memory) { route.construct(memory, request); });
  }
  const connection::Registry::Place place = connection.place();
  route.decide(Upgrade(std::make_shared<PendingUpgrade>(
      request, connection.environment().shared.registry, place.slot, place.generation)));
}

void serve(LiveConnection& connection, Route& route) {
  // A route whose application does not read the addresses saves a system call.
  const bool read = route.type == nullptr || route.page || route.reads_request;
  const std::string remote = read ? connection.remote_address() : std::string();
  const std::string subject = read ? connection.peer_subject() : std::string();
  const Request& received = connection.engine().request();
  const Request request({.method = received.method(),
                         .target = received.target(),
                         .fields = received.headers(),
                         .remote_address = remote,
                         .client_subject = subject,
                         .minor_version = received.minor_version()});
  if (route.page && !(route.is_websocket() && asks_for_websocket(connection)))
    return serve_page(connection, route, request);
  serve_websocket(connection, route, request);
}

void answer(Router& router, LiveConnection& connection) {
  Handshake handshake(connection);
  const Request& received = connection.engine().request();
  if (received.target() == "*") {  // OPTIONS for the server as a whole, RFC 9110 §9.3.7
    return handshake.respond(allow_page_methods(204));
  }
  Route* const route = router.find(received.path());
  if (route == nullptr) {
    if (received.has_header("Upgrade"))
      connection.environment().metrics.refused(Errc::route_not_found);
    return handshake.respond(Response::status(404));
  }
  connection.set_label(route->id);
  const bool fine = connection.call_application(route->page ? "the page" : "the route",
                                                [&] { serve(connection, *route); });
  if (!fine) handshake.respond_internal_error();  // does nothing if it was answered before it threw
}

}  // namespace

void answer_request(Router& router, LiveConnection& connection) noexcept {
  try {
    answer(router, connection);
  } catch (const std::bad_alloc&) {  // there is no memory for a 404 either
    connection.terminate(Errc::no_memory);
  }
}

}  // namespace tern::server
