// A path may have pages and a WebSocket. A request that asks for a WebSocket goes to the
// WebSocket, also if it asks in a wrong way, so that its answer says what is wrong.
#include "server/requests.h"

#include "server/behind_proxy.h"
#include "server/handshake.h"
#include "server/pending_request.h"

#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tern::server {

using connection::LiveConnection;

namespace {

constexpr std::size_t max_shown = 200;  // bytes of a path, in the log

Response allow(int status, MethodSet methods) {
  return Response::status(status).header("Allow", methods.allow());
}

// A server may ignore an upgrade to another protocol than WebSocket (RFC 9110 §7.8).
bool asks_for_websocket(const LiveConnection& connection) noexcept {
  const std::error_code why_not = connection.engine().upgrade_error();
  return why_not != Errc::upgrade_required && why_not != Errc::method_not_allowed &&
         why_not != Errc::request_with_body;
}

// A body of GET or HEAD has no meaning and is refused (RFC 9110 §9.3.1).
bool gives_body_meaning(std::string_view method) noexcept {
  return method != "GET" && method != "HEAD";
}

// Reads the body for the page that takes it, which is called when the body is there. Returns false
// if no page takes the request: its answer does not wait for the body, and ends the connection.
[[gnu::cold]] bool take_body(LiveConnection& connection, Route& route) noexcept {
  const std::string_view method = connection.engine().request().method();
  if (route.page_for(method) == nullptr) return false;
  Handshake handshake(connection);
  if (!gives_body_meaning(method)) {
    handshake.refuse();
    return true;
  }
  // A proper request has arrived, so it no longer counts as unfinished: its body has a deadline of
  // its own, and peers that send nothing must not push it out.
  handshake.read_body();
  connection.end_opening();
  return true;
}

// The page answers at once, or keeps an Exchange. The connection then does not count as one in its
// handshake any more, because the rest is up to the application.
void call_page(LiveConnection& connection, Page& page, const Request& request) {
  if (page.returns()) return Handshake(connection).respond(page.returns()(request));
  Exchange exchange(
      std::make_shared<PendingRequest>(request, connection, connection.engine().take_body()));
  connection.engine().wait_for_answer();
  connection.end_opening();
  page.answers()(std::move(exchange));
}

// The page of this method; else OPTIONS is answered with 204, and other methods with 405 or, at a
// WebSocket, with 426. RFC 9110 §9.3.7, §15.5.6, §15.5.22.
void serve_page(LiveConnection& connection, Route& route, const Request& request) {
  Handshake handshake(connection);
  if (Page* const page = route.page_for(request.method())) {
    return call_page(connection, *page, request);
  }
  MethodSet methods = route.methods;
  if (route.is_websocket()) {
    if (request.method() == "GET") return handshake.refuse();
    methods.add(Method::get);
  }
  handshake.respond(allow(request.method() == "OPTIONS" ? 204 : 405, methods));
}

void serve_websocket(LiveConnection& connection, Route& route, const Request& request) {
  Handshake handshake(connection);
  if (connection.engine().upgrade_error()) return handshake.refuse();
  if (route.type != nullptr) {
    return handshake.accept(route.accept, *route.type,
                            [&](void* memory) { route.construct(memory, request); });
  }
  route.decide(Upgrade(std::make_shared<PendingRequest>(request, connection)));
}

// Calls `use` with the whole request. The addresses are left out if the application does not read
// them, because that saves a system call.
template <class F>
void with_request(LiveConnection& connection, bool reads_addresses,
                  std::span<const PathParameter> parameters, F&& use) {
  const std::string remote = reads_addresses ? connection.remote_address() : std::string();
  const std::string subject = reads_addresses ? connection.peer_subject() : std::string();
  const ProxyWords words = reads_addresses ? ProxyWords(connection) : ProxyWords();
  Request::Parts parts = connection.engine().request().parts();
  parts.remote_address = remote;
  parts.client_subject = subject;
  parts.parameters = parameters;
  words.add_to(parts);
  use(Request(parts));
}

void serve(LiveConnection& connection, Route& route, const Request& request) {
  if (route.has_pages() && !(route.is_websocket() && asks_for_websocket(connection)))
    return serve_page(connection, route, request);
  serve_websocket(connection, route, request);
}

void answer_by(LiveConnection& connection, Route& route,
               std::span<const PathParameter> parameters) {
  connection.set_label(route.id);
  if (connection.engine().has_unread_body() && take_body(connection, route)) return;
  const bool reads = route.type == nullptr || route.has_pages() || route.reads_request;
  const std::string_view name = route.has_pages() ? "the page" : "the route";
  const bool fine = connection.call_application(name, [&] {
    with_request(connection, reads, parameters,
                 [&](const Request& request) { serve(connection, route, request); });
  });
  // This does nothing if the request was answered before the exception.
  if (!fine) Handshake(connection).respond_internal_error();
}

void answer_by_fallback(Router& router, LiveConnection& connection) {
  Handshake handshake(connection);
  if (connection.engine().request().has_header("Upgrade"))
    connection.environment().metrics.refused(Errc::route_not_found);
  Page* const page = router.fallback();
  if (page == nullptr) return handshake.respond(Response::status(404));
  const bool fine = connection.call_application("the fallback", [&] {
    with_request(connection, true, {},
                 [&](const Request& request) { call_page(connection, *page, request); });
  });
  if (!fine) handshake.respond_internal_error();
}

// A file answers an upgrade, too, like a page at a path without a WebSocket.
void answer_by_file(Router& router, FileCache& files, LiveConnection& connection,
                    std::string_view path) {
  const FileSite* const site = router.files().find(path);
  if (site == nullptr) return answer_by_fallback(router, connection);
  if (connection.engine().has_unread_body() &&
      !gives_body_meaning(connection.engine().request().method())) {
    return Handshake(connection).refuse();
  }
  const FileAnswer answer = site->answer(connection.engine().request(), files);
  if (answer.get() == nullptr) return answer_by_fallback(router, connection);
  if (answer.error) {
    const LogSink& sink = connection.environment().shared.log;
    connection::log_composed(sink, [&] {
      std::string text(path.substr(0, max_shown));
      text.append(": no file is sent: ").append(answer.error.message());
      connection::log(sink, LogLevel::error, text, connection.remote_address());
    });
  }
  Handshake(connection).respond(*answer.get());
}

// Parameters take half a KiB of the stack, which exact paths do without.
[[gnu::noinline]] void answer_by_pattern(Router& router, FileCache& files,
                                         LiveConnection& connection, std::string_view path) {
  Parameters parameters;
  Route* const route = router.find_pattern(path, parameters);
  if (route != nullptr) return answer_by(connection, *route, parameters.all());
  connection.set_label(0);  // an earlier request of this connection had a route
  answer_by_file(router, files, connection, path);
}

void answer(Router& router, FileCache& files, LiveConnection& connection) {
  const Request& received = connection.engine().request();
  if (received.target() == "*") {  // OPTIONS for the server as a whole, RFC 9110 §9.3.7
    MethodSet methods = router.methods();
    methods.add(Method::get);
    return Handshake(connection).respond(allow(204, methods));
  }
  const std::string_view path = received.path();
  if (Route* const route = router.find(path)) return answer_by(connection, *route, {});
  answer_by_pattern(router, files, connection, path);
}

}  // namespace

void answer_request(Router& router, FileCache& files, LiveConnection& connection) noexcept {
  try {
    answer(router, files, connection);
  } catch (const std::bad_alloc&) {  // there is no memory for a 404 either
    connection.terminate(Errc::no_memory);
  }
}

}  // namespace tern::server
