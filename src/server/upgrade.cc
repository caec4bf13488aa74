// The answer to an upgrade travels to the connection's loop by its mailbox, also from a handler
// that answers at once: nothing that an application calls calls it back. Slot and generation find
// the connection there, or nothing if the peer has gone.
#include "tern/server.h"

#include "connection/live_connection.h"
#include "engine/validate.h"
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
  bytes_.reserve(size);  // so that the views stay
  const auto keep = [&](std::string_view text) {
    bytes_ += text;
    return std::string_view(bytes_).substr(bytes_.size() - text.size());
  };
  fields_.reserve(request.headers().size());
  for (const HeaderField& field : request.headers()) {
    const std::string_view name = keep(field.name);
    fields_.push_back({.name = name, .value = keep(field.value)});
  }
  const std::string_view method = keep(request.method());
  const std::string_view target = keep(request.target());
  const std::string_view remote_address = keep(request.remote_address());
  request_ = Request({.method = method,
                      .target = target,
                      .fields = fields_,
                      .remote_address = remote_address,
                      .client_subject = keep(request.client_subject()),
                      .minor_version = request.minor_version()});
}

PendingUpgrade::~PendingUpgrade() {
  answer([](connection::LiveConnection& connection) {
    connection.respond(Response::status(503).header("Retry-After", "1"));
  });
}

void PendingUpgrade::answer(Answer answer) noexcept {
  if (answered_.exchange(true)) return;
  try {
    auto run = [registry = registry_.get(), slot = slot_, generation = generation_,
                answer = std::move(answer)]() mutable {
      connection::LiveConnection* const found = registry->find(slot, generation);
      if (found == nullptr) return;
      try {
        answer(*found);
      } catch (const std::bad_alloc&) {
        found->terminate(Errc::no_memory);
      }
    };
    // A full mailbox takes it as well, because the peer waits for it and there is one for each
    // handshake, which max_unfinished_handshakes bounds.
    registry_->mailbox().post(std::move(run), {.bounded = false});
  } catch (const std::bad_alloc&) {  // the handshake's deadline ends what waits
  }
}

}  // namespace server

const Request& Upgrade::request() const noexcept { return state_->request(); }

void Upgrade::accept_session(Accept accept, const connection::SessionType& type,
                             Construct construct) const {
  // The request lives until the session is made, which may be given it: so the answer keeps it.
  state_->answer(
      [kept = state_, accept = std::move(accept), &type,
       construct = std::move(construct)](connection::LiveConnection& connection) mutable {
        if (const std::string why = engine::why_invalid(accept); !why.empty()) {
          return connection.reject_answer("accept: " + why);
        }
        connection.accept(accept, type, construct);
      });
}

void Upgrade::accept(Handlers handlers, Accept accept) const {
  this->accept<Handlers>(std::move(accept), std::move(handlers));
}

void Upgrade::respond(Response response) const {
  state_->answer([response = std::move(response)](connection::LiveConnection& connection) {
    connection.respond(response);
  });
}

}  // namespace tern
