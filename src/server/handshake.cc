// The engine writes the answers. Here they are counted and logged, and the connection continues.
#include "server/handshake.h"

#include "connection/dispatch.h"

#include <new>

namespace tern::server {
namespace {

constexpr std::string_view unsent = "the answer of the application is not sent: ";

// Only the fallback answers without a route.
std::string not_sent(const connection::LiveConnection& connection, std::string_view why) {
  const std::string_view route = connection.name();
  std::string text(route.empty() ? "the fallback" : route);
  return text.append(": ").append(unsent).append(why);
}

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
    connection::log(sink, LogLevel::error, not_sent(connection_, why),
                    connection_.remote_address());
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
  if (error == Errc::invalid_header) return not_sent(connection_, known);
  std::string text = "refused: " + (known.empty() ? error.message() : known);
  if (error != Errc::body_too_big) return text;
  const std::size_t most = connection_.engine().limits().max_body_bytes;
  text.append(": limits.max_body_bytes is ").append(std::to_string(most));
  const std::string_view route = connection_.name();  // empty for one of very many routes
  return route.empty() ? text : std::string(route).append(": ").append(text);
}

void Handshake::on_refused(std::error_code error) noexcept {
  const connection::Environment& environment = connection_.environment();
  environment.metrics.refused(error);
  connection::log_composed(environment.shared.log, [&] {
    const bool of_application = error == Errc::invalid_header;
    connection::log(environment.shared.log, of_application ? LogLevel::error : LogLevel::info,
                    refusal_text(error), connection_.remote_address());
  });
}

void Handshake::answered(std::error_code error) noexcept {
  const connection::Environment& environment = connection_.environment();
  if (connection_.engine().is_open()) {
    environment.metrics.upgrades.add();
  } else if (error) {
    // The owner counts and logs it at the end, like a body whose chunks are too many.
    if (error != Errc::body_too_big) on_refused(error);
  } else {
    environment.metrics.responses.add();
  }
  connection_.head_answered();
}

}  // namespace tern::server
