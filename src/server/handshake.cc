// The engine writes the answers. Here they are counted and logged, and the connection continues.
#include "server/handshake.h"

#include "connection/dispatch.h"

#include <new>

namespace tern::server {
namespace {

constexpr const char* unsent = "the answer of the application is not sent: ";

}  // namespace

bool Handshake::begin_answer() noexcept {
  connection_.begin_call();
  return connection_.engine().upgrade_error() != Errc::closed;
}

void Handshake::respond(const Response& response) noexcept {
  if (begin_answer()) answered(connection_.engine().respond(response));
}

void Handshake::read_body() noexcept {
  if (!begin_answer()) return;
  if (const std::error_code error = connection_.engine().read_body()) answered(error);
}

void Handshake::refuse() noexcept {
  if (begin_answer()) answered(connection_.engine().accept());
}

void Handshake::respond_later(int status) noexcept {
  try {
    respond(Response::status(status).header("Retry-After", "1"));
  } catch (const std::bad_alloc&) {
    connection_.terminate(Errc::no_memory);
  }
}

void Handshake::respond_internal_error() noexcept {
  try {
    respond(Response::status(500));
  } catch (const std::bad_alloc&) {
    connection_.terminate(Errc::no_memory);
  }
}

void Handshake::reject_answer(std::string_view why) noexcept {
  const LogSink& sink = connection_.environment().shared.log;
  connection::log_composed(sink, [&] {
    connection::log(sink, LogLevel::error, unsent + std::string(why), connection_.remote_address());
  });
  respond_internal_error();
}

void Handshake::give_up(std::error_code why) noexcept {
  connection_.terminate(why);
  connection_.environment().metrics.refused(why);
  connection_.end_opening();
}

std::string Handshake::refusal_text(std::error_code error) const {
  const std::string known(connection_.engine().explanation());
  if (error == Errc::invalid_header) return unsent + known;
  return "refused: " + (known.empty() ? error.message() : known);
}

void Handshake::answered(std::error_code error) noexcept {
  const connection::Environment& environment = connection_.environment();
  if (connection_.engine().is_open()) {
    environment.metrics.upgrades.add();
  } else if (error) {
    // The owner counts it at the end, like a body whose chunks are too many.
    if (error != Errc::body_too_big) environment.metrics.refused(error);
    connection::log_composed(environment.shared.log, [&] {
      const bool of_application = error == Errc::invalid_header;
      connection::log(environment.shared.log, of_application ? LogLevel::error : LogLevel::info,
                      refusal_text(error), connection_.remote_address());
    });
  } else {
    environment.metrics.responses.add();
  }
  connection_.head_answered();
}

}  // namespace tern::server
