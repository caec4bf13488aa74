// Which ends are fatal, and how long a client waits. The tables name each end that is fatal or
// counts as a failure; every other end is transient, because most are faults of a network.

#include "client/retry.h"

#include "http/chars.h"
#include "http/date.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace tern::client {
namespace {

using std::chrono::nanoseconds;

constexpr std::chrono::minutes most_retry_after{10};

// Statuses with which a server or a gateway says that it may work later.
bool is_transient_status(int status) noexcept {
  switch (status) {
    case 408:  // Request Timeout
    case 425:  // Too Early
    case 429:  // Too Many Requests
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return false;
  }
}

// A gateway's failure to connect is transient; a proxy that forbids it is not.
bool is_transient_proxy_status(int status) noexcept {
  return status == 502 || status == 503 || status == 504;
}

// Whether a file of the options, for example ca_file, cannot be there (tls/pem.cc). A Unix socket
// that does not exist has the category of the system; its server may start later.
bool is_wrong_path(std::error_code code) noexcept {
  if (code.category() != std::generic_category()) return false;
  switch (static_cast<std::errc>(code.value())) {
    case std::errc::no_such_file_or_directory:
    case std::errc::not_a_directory:
    case std::errc::is_a_directory:
    case std::errc::permission_denied:
    case std::errc::filename_too_long:
    case std::errc::too_many_symbolic_link_levels:
      return true;
    default:
      return false;
  }
}

// random / 2^64 of `range`, without overflow.
nanoseconds share_of(nanoseconds range, std::uint64_t random) noexcept {
  const auto product =
      static_cast<unsigned __int128>(random) * static_cast<std::uint64_t>(range.count());
  return nanoseconds(static_cast<nanoseconds::rep>(product >> 64));
}

nanoseconds doubled(nanoseconds first, std::size_t times, nanoseconds most) noexcept {
  for (; times > 0 && first < most; --times) {
    if (first > most / 2) return most;
    first *= 2;
  }
  return std::min(first, most);
}

}  // namespace

Verdict judge(const Error& failure) noexcept {
  const std::error_code code = failure.code();
  if (is_wrong_path(code)) return Verdict::fatal;
  if (code.category() != error_category()) return Verdict::transient;
  switch (static_cast<Errc>(code.value())) {
    case Errc::upgrade_refused:
      return is_transient_status(failure.http_status()) ? Verdict::transient : Verdict::fatal;
    case Errc::proxy_refused:
      return is_transient_proxy_status(failure.http_status()) ? Verdict::transient : Verdict::fatal;
    case Errc::url_invalid:
    case Errc::invalid_header:
    case Errc::options_invalid:
    case Errc::tls_options_invalid:
    case Errc::tls_certificate_refused:
    case Errc::tls_own_certificate_refused:
    case Errc::proxy_auth_required:
    case Errc::redirect_refused:
    case Errc::too_many_redirects:
    case Errc::stopped:
    case Errc::attempt_given_up:
    // An answer that breaks RFC 6455 §4.1 or the grammar of HTTP.
    case Errc::http_malformed:
    case Errc::http_version_unsupported:
    case Errc::head_too_big:
    case Errc::too_many_header_fields:
    case Errc::upgrade_header_invalid:
    case Errc::accept_invalid:
    case Errc::extension_not_offered:
    case Errc::extension_answer_invalid:
    case Errc::protocol_not_offered:
      return Verdict::fatal;
    default:
      return Verdict::transient;
  }
}

Verdict judge(const CloseInfo& end) noexcept {
  if (end.error == Errc::handler_threw || end.error == Errc::no_memory) return Verdict::failure;
  const auto code = static_cast<std::uint16_t>(end.code);
  if (code >= 3000) return Verdict::failure;
  switch (end.code) {
    case CloseCode::protocol_error:
    case CloseCode::unsupported_data:
    case CloseCode::invalid_payload:
    case CloseCode::policy_violation:
    case CloseCode::message_too_big:
    case CloseCode::mandatory_extension:
      return Verdict::failure;
    default:
      return Verdict::transient;
  }
}

std::optional<nanoseconds> parse_retry_after(std::string_view field,
                                             std::chrono::sys_seconds now) noexcept {
  if (field.empty()) return {};
  std::chrono::seconds wait{};
  if (http::all(field, http::digit)) {
    std::uint32_t seconds = 0;
    const auto result = std::from_chars(field.data(), field.data() + field.size(), seconds);
    if (result.ec != std::errc()) return most_retry_after;
    wait = std::chrono::seconds(seconds);
  } else {
    const auto date = http::parse_date(field);
    if (!date) return {};
    wait = *date - now;
  }
  return std::clamp<std::chrono::seconds>(wait, std::chrono::seconds(0), most_retry_after);
}

nanoseconds Backoff::wait(nanoseconds first, std::size_t doublings,
                          std::uint64_t random) const noexcept {
  const nanoseconds longest =
      std::max<nanoseconds>(doubled(first, doublings, options_->most), floor);
  return floor + share_of(longest - floor, random);
}

std::optional<nanoseconds> Backoff::after_failure(std::uint64_t random,
                                                  nanoseconds at_least) noexcept {
  ++failures_;
  if (!may_go_on()) return {};
  return at_least + wait(options_->first, failures_ - 1, random);
}

std::optional<nanoseconds> Backoff::after_end(Verdict verdict, nanoseconds open_for,
                                              std::uint64_t random) noexcept {
  if (verdict == Verdict::transient && open_for >= options_->stable) {
    failures_ = 0;
    return wait(options_->first_after_end, 0, random);
  }
  ++failures_;
  if (!may_go_on()) return {};
  return wait(options_->first_after_end, failures_ - 1, random);
}

}  // namespace tern::client
