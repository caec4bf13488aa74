// The answer to an upgrade goes to the connection's loop through the mailbox, also if a handler
// answers at once, because no function that an application calls may call it back. On the loop,
// slot and generation find the connection, or nothing if the peer has gone.
#include "tern/server.h"

#include "engine/validate.h"
#include "server/handshake.h"
#include "server/pending_upgrade.h"

#include <new>
#include <utility>

namespace tern {
namespace server {

PendingUpgrade::PendingUpgrade(const Request& request,
                               std::shared_ptr<connection::Registry> registry, std::uint32_t slot,
                               std::uint32_t generation)
    : registry_(std::move(registry)), slot_(slot), generation_(generation) {
  std::size_t size = request.method().size() + request.target().size() +
                     request.remote_address().size() + request.client_subject().size();
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
  Request::Parts parts = request.parts();
  for (std::string_view* const view :
       {&parts.method, &parts.target, &parts.remote_address, &parts.client_subject}) {
    *view = keep(*view);
  }
  parts.fields = fields_;
  parts.parameters = parameters_;
  request_ = Request(parts);
}

PendingUpgrade::~PendingUpgrade() {
  answer([](Handshake& handshake) {
    handshake.respond(Response::status(503).header("Retry-After", "1"));
  });
}

void PendingUpgrade::answer(Answer answer) noexcept {
  if (answered_.exchange(true)) return;
  try {
    auto run = [registry = registry_.get(), slot = slot_, generation = generation_,
                answer = std::move(answer)]() mutable {
      connection::LiveConnection* const found = registry->find(slot, generation);
      if (found == nullptr) return;
      Handshake handshake(*found);
      try {
        answer(handshake);
      } catch (const std::bad_alloc&) {
        found->terminate(Errc::no_memory);
      }
    };
    // A full mailbox takes it as well, because the peer waits for it. There is one for each
    // handshake, and max_unfinished_handshakes bounds those.
    registry_->mailbox().post(std::move(run), {.bounded = false});
  } catch (const std::bad_alloc&) {  // the deadline of the handshake ends it
  }
}

}  // namespace server

const Request& Upgrade::request() const noexcept { return state_->request(); }

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
