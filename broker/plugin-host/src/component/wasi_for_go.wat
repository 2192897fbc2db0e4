;; What a Go program finds behind wasi_snapshot_preview1 in a plugin: the clock, the random numbers and the log of the
;; contract; no arguments, no environment, no files, no sockets.
;;
;; Why not the adapter that everybody takes: Go collects garbage wherever it allocates, so also in cabi_realloc, where a
;; component may call nobody; that adapter asks the host for the time of day there, which is a trap
;; (bytecodealliance/wasmtime issue 14318). Here both clocks stand still in between: Go tells when, by
;; adapter_monotonic_clock_set_paused.
;;
;; Nothing of Go lies between 4096 and 12288: its linker keeps that free for the arguments that a browser hands over
;; (wasmMinDataAddr of cmd/link). There are: 4096, eight bytes of what a call returned; 4104, the line being written.
;;
;; wasi_for_go.wasm is this file, which a test compares.
(module
  (import "env" "memory" (memory 0))
  (import "portcullis:plugin/clock@0.1.0" "now-unix-ms" (func $now (result i64)))
  (import "portcullis:plugin/clock@0.1.0" "monotonic-ns" (func $monotonic (result i64)))
  (import "portcullis:plugin/random@0.1.0" "bytes" (func $bytes (param $length i32) (param $returned i32)))
  (import "portcullis:plugin/log@0.1.0" "emit"
    (func $emit (param $level i32) (param $text i32) (param $length i32) (param $fields i32) (param $count i32)))

  ;; In cabi_realloc, and what the clocks last said.
  (global $paused (mut i32) (i32.const 0))
  (global $wall (mut i64) (i64.const 0))
  (global $steady (mut i64) (i64.const 0))
  ;; Where the host puts random bytes, and how long the line is.
  (global $target (mut i32) (i32.const 0))
  (global $line (mut i32) (i32.const 0))

  (func (export "adapter_monotonic_clock_set_paused") (param $paused i32)
    (global.set $paused (local.get $paused)))

  ;; It never goes back, also not behind where $poll put it.
  (func $advance (param $to i64)
    (if (i64.gt_u (local.get $to) (global.get $steady))
      (then (global.set $steady (local.get $to)))))

  ;; Clock 0 is the time of day, any other one never goes back. Nanoseconds.
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $time i32) (result i32)
    (if (i32.eqz (global.get $paused))
      (then
        (if (local.get $clock)
          (then (call $advance (call $monotonic)))
          (else (global.set $wall (i64.mul (call $now) (i64.const 1000000)))))))
    (i64.store (local.get $time)
      (select (global.get $steady) (global.get $wall) (local.get $clock)))
    (i32.const 0))

  ;; The host allocates for one answer only, that of $bytes: it goes where it is wanted.
  (func (export "cabi_import_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $target))

  ;; At most 4096 bytes at a time.
  (func (export "random_get") (param $buffer i32) (param $length i32) (result i32)
    (local $part i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $part
          (select (local.get $length) (i32.const 4096) (i32.lt_u (local.get $length) (i32.const 4096))))
        (global.set $target (local.get $buffer))
        (call $bytes (local.get $part) (i32.const 4096))
        (local.set $buffer (i32.add (local.get $buffer) (local.get $part)))
        (local.set $length (i32.sub (local.get $length) (local.get $part)))
        (br $next)))
    (i32.const 0))

  ;; The line so far, at level warn: what Go prints is mostly why it dies.
  (func $flush
    (if (global.get $line)
      (then
        (call $emit (i32.const 3) (i32.const 4104) (global.get $line) (i32.const 0) (i32.const 0))
        (global.set $line (i32.const 0)))))

  ;; A text of the contract is UTF-8, and what is printed may be cut anywhere: other characters are `?`.
  (func $print (param $byte i32)
    (if (i32.eq (local.get $byte) (i32.const 10))
      (then (call $flush))
      (else
        (i32.store8 offset=4104 (global.get $line)
          (select (local.get $byte) (i32.const 63) (i32.lt_u (local.get $byte) (i32.const 128))))
        (global.set $line (i32.add (global.get $line) (i32.const 1)))
        (if (i32.eq (global.get $line) (i32.const 4096)) (then (call $flush))))))

  ;; Everything that is written goes to the log, whatever it is written to. Bad file descriptor: there are 0, 1, 2.
  (func (export "fd_write") (param $fd i32) (param $vectors i32) (param $count i32) (param $written i32) (result i32)
    (local $from i32) (local $end i32) (local $sum i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (block $done
      (loop $vector
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $from (i32.load (local.get $vectors)))
        (local.set $end (i32.add (local.get $from) (i32.load offset=4 (local.get $vectors))))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $vectors))))
        (block $printed
          (loop $byte
            (br_if $printed (i32.eq (local.get $from) (local.get $end)))
            (call $print (i32.load8_u (local.get $from)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br $byte)))
        (local.set $vectors (i32.add (local.get $vectors) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $vector)))
    (i32.store (local.get $written) (local.get $sum))
    (i32.const 0))

  (func (export "proc_exit") (param i32)
    (call $flush)
    unreachable)

  ;; None of these.
  (func $none (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))
  (func $nothing (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $nothing))
  (export "environ_get" (func $nothing))
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; Bad file descriptor (8).
  (func $fd (param i32) (result i32) (i32.const 8))
  (export "fd_close" (func $fd))
  (export "fd_datasync" (func $fd))
  (export "fd_sync" (func $fd))
  (func $fd_i (param i32 i32) (result i32) (i32.const 8))
  (export "fd_fdstat_get" (func $fd_i))
  (export "fd_fdstat_set_flags" (func $fd_i))
  (export "fd_filestat_get" (func $fd_i))
  (export "fd_prestat_get" (func $fd_i))
  (export "fd_renumber" (func $fd_i))
  (export "fd_tell" (func $fd_i))
  (export "sock_shutdown" (func $fd_i))
  (func $fd_ii (param i32 i32 i32) (result i32) (i32.const 8))
  (export "fd_prestat_dir_name" (func $fd_ii))
  (export "path_create_directory" (func $fd_ii))
  (export "path_remove_directory" (func $fd_ii))
  (export "path_unlink_file" (func $fd_ii))
  (export "sock_accept" (func $fd_ii))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func $fd_iiii (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (export "path_filestat_get" (func $fd_iiii))
  (export "path_symlink" (func $fd_iiii))
  (export "sock_send" (func $fd_iiii))
  (func $fd_iiiii (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (export "path_readlink" (func $fd_iiiii))
  (export "path_rename" (func $fd_iiiii))
  (export "sock_recv" (func $fd_iiiii))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func $fd_at (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (export "fd_pread" (func $fd_at))
  (export "fd_pwrite" (func $fd_at))
  (export "fd_readdir" (func $fd_at))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))

  ;; Every subscription (48 bytes) is answered at once by an event (32 bytes): a clock has rung, a file is none.
  ;; Go looks at the time again and comes back if it was too early; so who sleeps pays for it with the CPU of its
  ;; call. While the clocks stand still, a sleep moves them: by a millisecond, which is more than a garbage
  ;; collector waits for.
  (func $poll (export "poll_oneoff")
    (param $subscription i32) (param $event i32) (param $count i32) (param $events i32) (result i32)
    (local $clock i32)
    (i32.store (local.get $events) (local.get $count))
    (if (global.get $paused)
      (then (call $advance (i64.add (global.get $steady) (i64.const 1000000)))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $clock (i32.eqz (i32.load8_u offset=8 (local.get $subscription))))
        (memory.fill (local.get $event) (i32.const 0) (i32.const 32))
        (i64.store (local.get $event) (i64.load (local.get $subscription)))
        (i32.store16 offset=8 (local.get $event) (select (i32.const 0) (i32.const 8) (local.get $clock)))
        (i32.store8 offset=10 (local.get $event) (i32.load8_u offset=8 (local.get $subscription)))
        (local.set $subscription (i32.add (local.get $subscription) (i32.const 48)))
        (local.set $event (i32.add (local.get $event) (i32.const 32)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 0)))
