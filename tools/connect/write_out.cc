// Expands -W. One table has the name and the value of each variable, so that the help lists all.
#include "connect/write_out.h"

#include "text.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace command {
namespace {

// Seconds with at most 6 decimals.
double microseconds(double seconds) { return std::round(seconds * 1e6) / 1e6; }

// 0 for a stage that was not done, as curl shows it.
double since_start(const std::optional<std::chrono::nanoseconds>& time) {
  return time ? microseconds(std::chrono::duration<double>(*time).count()) : 0.0;
}

// ordered_json keeps the order of this table.
nlohmann::ordered_json values_of(const Figures& figures) {
  return {{"url", figures.url},
          {"http_code", figures.http_code},
          {"attempts", figures.attempts},
          {"rtt", microseconds(figures.rtt)},
          {"time_namelookup", since_start(figures.times.resolve)},
          {"time_connect", since_start(figures.times.connect)},
          {"time_appconnect", since_start(figures.times.tls)},
          {"time_open", since_start(figures.times.upgrade)},
          {"time_total", microseconds(figures.time_total)},
          {"messages_received", figures.messages_received},
          {"messages_sent", figures.messages_sent},
          {"bytes_received", figures.bytes_received},
          {"bytes_sent", figures.bytes_sent},
          {"close_code", figures.close_code},
          {"close_reason", figures.close_reason},
          {"subprotocol", figures.protocol},
          {"remote_ip", figures.remote_ip},
          {"exit_code", figures.exit_code}};
}

std::string shown(const nlohmann::ordered_json& value) {
  if (value.is_string()) return escape(value.get<std::string>());
  if (!value.is_number_float()) return value.dump();
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6f", value.get<double>());
  return text.data();
}

std::string value_of(std::string_view name, const nlohmann::ordered_json& values) {
  if (name == "json") return values.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto found = values.find(std::string(name));
  if (found == values.end()) {
    throw std::invalid_argument("there is no variable '" + std::string(name) + "'");
  }
  return shown(*found);
}

char unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

}  // namespace

std::string write_out_variables() {
  std::string names;
  const nlohmann::ordered_json values = values_of({});
  for (const auto& [name, value] : values.items()) names += "%{" + name + "} ";
  return names + "%{json}";
}

void check_write_out(std::string_view format) { static_cast<void>(write_out(format, {})); }

std::string write_out(std::string_view format, const Figures& figures) {
  const nlohmann::ordered_json values = values_of(figures);
  std::string text;
  while (!format.empty()) {
    const std::size_t end = format.starts_with("%{") ? format.find('}') : format.npos;
    if (end != format.npos) {
      text += value_of(format.substr(2, end - 2), values);
      format.remove_prefix(end + 1);
    } else if (format.size() > 1 && (format[0] == '\\' || format.starts_with("%%"))) {
      text += format[0] == '%' ? '%' : unescaped(format[1]);
      format.remove_prefix(2);
    } else {
      text += format[0];
      format.remove_prefix(1);
    }
  }
  return text;
}

}  // namespace command
