// PgSession: a PgConnection that is made when it is needed and again after it was lost.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/postgres.h"

namespace sluice {

// One thread at a time. Nothing is remembered on the server's side between transactions, so a new
// connection is as good as the old one.
class PgSession {
 public:
  PgSession(std::string conninfo, std::chrono::milliseconds connect_timeout,
            std::chrono::milliseconds statement_timeout)
      : conninfo_(std::move(conninfo)),
        connect_timeout_(connect_timeout),
        statement_timeout_(statement_timeout) {}

  // The live connection, connecting first if there is none. Owned by the session; valid until the
  // next Acquire or Drop.
  PgResult<PgConnection*> Acquire() {
    if (connection_ == nullptr || !connection_->alive()) {
      connection_.reset();
      auto made = PgConnection::Connect(conninfo_, connect_timeout_);
      if (!made.ok()) return made.error();
      connection_ = std::move(*made);
      connection_->set_timeout(statement_timeout_);
    }
    return connection_.get();
  }
  void Drop() { connection_.reset(); }

  // Begins a transaction whose limits the server keeps by itself: what we gave up must not go on
  // holding locks there. Set in the transaction, so that it works through PgBouncer. READ COMMITTED
  // whatever the role's default is: the ledger is read after a wait, and must be seen as it is
  // then.
  std::string BeginSql() const {
    const std::string limit = std::to_string(statement_timeout_.count() * 4 / 5);
    return "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = " + limit +
           "; SET LOCAL idle_in_transaction_session_timeout = " + limit +
           "; SET LOCAL tcp_keepalives_idle = 10; SET LOCAL tcp_keepalives_interval = 5; "
           "SET LOCAL tcp_keepalives_count = 3; ";
  }

 private:
  const std::string conninfo_;
  const std::chrono::milliseconds connect_timeout_;
  const std::chrono::milliseconds statement_timeout_;
  std::unique_ptr<PgConnection> connection_;
};

}  // namespace sluice
