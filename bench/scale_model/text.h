// Numbers as the documents write them.
#pragma once

#include <string>

namespace tern::bench {

/// "16 384": rounded, with a space between groups of three digits. `value` is not negative.
std::string spaced(double value);
/// "9.20".
std::string fixed(double value, int digits);
/// The first three digits: "1.23", "12.3", "123", "1 230".
std::string three_digits(double value);

}  // namespace tern::bench
