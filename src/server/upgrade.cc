// The answer to an upgrade, or to the request of a page, goes to the connection's loop through the
// mailbox, also if a handler answers at once, because no function that an application calls may
// call it back. On the loop, slot and generation find the connection, or nothing if the peer has
// gone.
#include "tern/server.h"

#include "engine/validate.h"
#include "server/handshake.h"
#include "server/pending_request.h"

#include <new>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {
namespace server {

namespace {

// The views of these parts that a PendingRequest copies, beside the fields.
std::vector<std::string_view*> views_of(Request::Parts& parts, ProxyHeader& header) {
  return {&parts.method,       &parts.target,       &parts.remote_address, &parts.client_subject,
          &parts.host,         &parts.peer_address, &header.authority,     &header.unique_id,
          &header.tls_version, &header.tls_cipher,  &header.common_name};
}

}  // namespace

PendingRequest::PendingRequest(const Request& request, connection::LiveConnection& connection,
                               std::string body)
    : body_(std::move(body)),
      registry_(connection.environment().shared.registry),
      place_(connection.place()),
      peer_left_(std::make_shared<std::atomic<bool>>(false)) {
  Request::Parts parts = request.parts();
  if (parts.proxy_header != nullptr) {
    proxy_header_ = *parts.proxy_header;
    parts.proxy_header = &proxy_header_;
  }
  const std::vector<std::string_view*> views = views_of(parts, proxy_header_);
  std::size_t size = 0;
  for (const std::string_view* view : views) size += view->size();
  for (const HeaderField& field : request.headers()) size += field.name.size() + field.value.size();
  for (const PathParameter& each : request.parameters())
    size += each.name.size() + each.value.size();
  bytes_.reserve(size);  // so that the views stay valid
  const auto keep = [&](std::string_view text) {
    bytes_ += text;
    return std::string_view(bytes_).substr(bytes_.size() - text.size());
  };
  fields_.reserve(request.headers().size());
  for (const HeaderField& field : request.headers()) {
    const std::string_view name = keep(field.name);
    fields_.push_back({.name = name, .value = keep(field.value)});
  }
  parameters_.reserve(request.parameters().size());
  for (const PathParameter& each : request.parameters()) {
    const std::string_view name = keep(each.name);
    parameters_.push_back({.name = name, .value = keep(each.value)});
  }
  for (std::string_view* view : views) *view = keep(*view);
  parts.fields = fields_;
  parts.body = body_;
  parts.parameters = parameters_;
  request_ = Request(parts);
  connection.watch_peer(peer_left_);
}

PendingRequest::~PendingRequest() {
  answer([](Handshake& handshake) {
    handshake.respond(Response::status(503).header("Retry-After", "1"));
  });
}

void PendingRequest::answer(Answer answer) noexcept {
  if (answered_.exchange(true)) return;
  try {
    auto run = [registry = registry_.get(), place = place_, answer = std::move(answer)]() mutable {
      connection::LiveConnection* const found = registry->find(place.slot, place.generation);
      if (found == nullptr) return;
      Handshake handshake(*found);
      try {
        answer(handshake);
      } catch (const std::bad_alloc&) {
        found->terminate(Errc::no_memory);
      }
    };
    // A full mailbox takes it as well, because the peer waits for it. There is at most one for each
    // connection.
    registry_->mailbox().post(std::move(run), {.bounded = false});
  } catch (const std::bad_alloc&) {  // the deadline of the answer ends it
  }
}

}  // namespace server

const Request& Upgrade::request() const noexcept { return state_->request(); }

bool Upgrade::is_open() const noexcept { return state_->is_open(); }

void Upgrade::accept_session(Accept accept, const connection::SessionType& type,
                             Construct construct) const {
  // The answer keeps the request alive, because the session's constructor may read it.
  state_->answer([kept = state_, accept = std::move(accept), &type,
                  construct = std::move(construct)](server::Handshake& handshake) mutable {
    if (const std::string why = engine::why_invalid(accept); !why.empty()) {
      return handshake.reject_answer("accept: " + why);
    }
    handshake.accept(accept, type, construct);
  });
}

void Upgrade::accept(Handlers handlers, Accept accept) const {
  this->accept<Handlers>(std::move(accept), std::move(handlers));
}

void Upgrade::respond(Response response) const {
  state_->answer([response = std::move(response)](server::Handshake& handshake) {
    handshake.respond(response);
  });
}

}  // namespace tern
