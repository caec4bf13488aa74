// An Exchange waits in the same way as an Upgrade: see upgrade.cc.
#include "tern/exchange.h"

#include "server/handshake.h"
#include "server/pending_request.h"

#include <utility>

namespace tern {

const Request& Exchange::request() const noexcept { return state_->request(); }

bool Exchange::is_open() const noexcept { return state_->is_open(); }

void Exchange::respond(Response response) const {
  state_->answer([response = std::move(response)](server::Handshake& handshake) {
    handshake.respond(response);
  });
}

}  // namespace tern
