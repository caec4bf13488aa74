// An exception of the application ends its own connection with 1011 and is logged. It ends nothing
// else, because LiveConnection::call_application catches it.
#include "connection/dispatch.h"

#include <exception>
#include <new>

namespace tern::connection {

void log(const LogSink& sink, LogLevel level, std::string_view message,
         std::string_view remote_address) noexcept {
  if (!sink) return;
  try {
    sink({.level = level, .message = message, .remote_address = remote_address});
  } catch (...) {  // a log that fails must not end the connection
  }
}

namespace {

// The text of the current exception.
std::string describe_exception() noexcept {
  try {
    try {
      throw;
    } catch (const std::exception& exception) {
      return exception.what();
    } catch (...) {
      return "an object that is not a std::exception";
    }
  } catch (...) {  // there is no memory for the text
    return {};
  }
}

}  // namespace

void log_exception(const LogSink& sink, std::string_view route, std::string_view what,
                   std::string_view remote_address) noexcept {
  log_composed(sink, [&] {
    std::string text(route);
    if (!route.empty()) text += ": ";
    text.append(what).append(" threw: ").append(describe_exception());
    log(sink, LogLevel::error, text, remote_address);
  });
}

void* SessionBox::allocate(const SessionType& type) {
  if (!type.is_large) return small_;
  large_ = ::operator new(type.size, std::align_val_t(type.alignment));
  return large_;
}

void SessionBox::release(const SessionType& type) noexcept {
  if (type.is_large) ::operator delete(large_, std::align_val_t(type.alignment));
}

void SessionBox::destroy() noexcept {
  if (type_ == nullptr) return;
  const SessionType& type = *type_;
  void* const session = get();
  type_ = nullptr;
  type.destroy(session);
  release(type);
}

}  // namespace tern::connection
