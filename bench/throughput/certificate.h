// A certificate for the servers of a comparison.
#pragma once

#include <string>

namespace tern::bench {

/// Two PEM files in a directory of their own, as long as this object lives. P-256, self-signed.
class TemporaryCertificate {
 public:
  /// Throws std::runtime_error and std::system_error.
  TemporaryCertificate();
  ~TemporaryCertificate();
  TemporaryCertificate(const TemporaryCertificate&) = delete;
  TemporaryCertificate& operator=(const TemporaryCertificate&) = delete;

  std::string certificate() const { return directory_ + "/cert.pem"; }
  std::string key() const { return directory_ + "/key.pem"; }

 private:
  std::string directory_;
};

}  // namespace tern::bench
