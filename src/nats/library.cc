// Starts libnats, and keeps its effects away from the process: SIGPIPE and signal handlers stay as
// the application set them.
#include "nats/library.h"

#include "net/fork_mark.h"

#include <csignal>

namespace tern::nats {
namespace {

natsStatus open_and_leave_signals() noexcept {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  struct sigaction pipe = {};
  sigaction(SIGPIPE, nullptr, &pipe);
  const natsStatus opened = nats_Open(-1);
  sigaction(SIGPIPE, &pipe, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return opened;
}

std::string words_for(natsStatus status) {
  switch (status) {
    case NATS_NO_SERVER:
      return "no server answers there";
    case NATS_TIMEOUT:
      return "it does not answer in time";
    case NATS_CONNECTION_AUTH_FAILED:
      return "it refuses the credentials: " + last_error_text(status);
    case NATS_SECURE_CONNECTION_WANTED:
      return "TLS is required, and it offers none";
    case NATS_SECURE_CONNECTION_REQUIRED:
      return "it requires TLS";
    default:
      return last_error_text(status);
  }
}

}  // namespace

Result<void> open_library() {
  static const net::ForkMark& mark = *new net::ForkMark();  // threads use it until the process ends
  static const natsStatus opened = open_and_leave_signals();
  if (mark.in_child()) {
    return Error::described(Errc::closed,
                            "libnats was started before fork(), and this process has none of its "
                            "threads, so it needs an exec() first");
  }
  if (opened == NATS_OK) return {};
  return Error::described(Errc::no_memory, "libnats does not start");
}

std::string last_error_text(natsStatus status) {
  natsStatus last = NATS_OK;
  const char* text = nats_GetLastError(&last);
  std::string words = last == status && text != nullptr ? text : natsStatus_GetText(status);
  // "(conn.c:1234): Authorization Violation"
  if (const auto place = words.find("): "); words.starts_with('(') && place != words.npos) {
    words.erase(0, place + 3);
  }
  return words;
}

Error error_of(natsStatus status) {
  const Errc code = status == NATS_TIMEOUT ? Errc::timed_out : Errc::closed;
  return Error::described(code, words_for(status));
}

}  // namespace tern::nats
