;; A guest of the tests that speaks the canonical ABI by hand, and lies. It authenticates, and the
;; first letter of the Client Identifier names the lie:
;;
;;   a  no lie: allow, principal `truth`            b  no lie: deny 0x86
;;   1  the result lies beyond the memory           2  the result's pointer is not aligned
;;   3  the principal lies beyond the memory        4  the principal is 4 GiB - 1 long
;;   5  the principal is not UTF-8                  6  the outcome has the unknown case 77
;;   7  the result has the unknown case 9           8  the option has the unknown case 2
;;   9  the list of groups overflows 32 bits        c  the list of groups lies beyond the memory
;;   d  the denial's reason lies beyond the memory  p  no lie, but `cabi_post` never ends
;;   q  no lie, but `cabi_post` traps
;;
;; Any other letter gets `next`. The host must answer every digit, c, d, p and q with a refusal, and
;; live on.
(module
  (memory (export "memory") 2)

  ;; Result of `authenticate` at 1024: result case (u8) at +0, outcome case (u8) at +8, grant or
  ;; denial at +16. Grant: principal option at +16 (case, pointer +20, length +24), groups at +28
  ;; and +32, attributes at +36 and +40, expiry option at +48, session expiry option at +64, user
  ;; properties at +72 and +76. Denial: Reason Code (u8) at +16, reason option at +20 (case, pointer
  ;; +24, length +28).
  (data (i32.const 16) "lies")
  (data (i32.const 32) "0.1.0")
  (data (i32.const 48) "truth")
  (data (i32.const 64) "\ff\fe\c0\80")

  ;; Arguments are put behind 8192, from the start again with every call.
  (global $next (mut i32) (i32.const 8192))
  ;; The letter of the last call, for `cabi_post`.
  (global $letter (mut i32) (i32.const 0))

  (func (export "cabi_realloc") (param $old i32) (param $old-size i32)
    (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (func (export "portcullis:plugin/plugin@0.1.0#describe") (result i32)
    (i32.store (i32.const 256) (i32.const 16))
    (i32.store (i32.const 260) (i32.const 4))
    (i32.store (i32.const 264) (i32.const 32))
    (i32.store (i32.const 268) (i32.const 5))
    (i32.const 256))

  ;; Memory at 512 stays zero: the case `ok`.
  (func (export "portcullis:plugin/plugin@0.1.0#init") (result i32) (i32.const 512))
  (func (export "portcullis:plugin/plugin@0.1.0#self-test") (result i32) (i32.const 512))

  (func (export "portcullis:plugin/authenticator@0.1.0#authenticate")
    (param $arguments i32) (result i32)
    ;; The Client Identifier's pointer stands behind the connection's number.
    (global.set $letter (i32.load8_u (i32.load offset=8 (local.get $arguments))))
    (global.set $next (i32.const 8192))
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 128))
    (call $allow)
    (if (call $is (i32.const 0x61)) (then (return (i32.const 1024))))
    (if (call $is (i32.const 0x62)) (then (call $deny) (return (i32.const 1024))))
    (if (call $is (i32.const 0x31)) (then (return (i32.const 0xffff0000))))
    (if (call $is (i32.const 0x32)) (then (return (i32.const 1025))))
    (if (call $is (i32.const 0x33))
      (then (i32.store (i32.const 1044) (i32.const 0xfffffff0)) (return (i32.const 1024))))
    (if (call $is (i32.const 0x34))
      (then (i32.store (i32.const 1048) (i32.const 0xffffffff)) (return (i32.const 1024))))
    (if (call $is (i32.const 0x35))
      (then
        (i32.store (i32.const 1044) (i32.const 64))
        (i32.store (i32.const 1048) (i32.const 4))
        (return (i32.const 1024))))
    (if (call $is (i32.const 0x36))
      (then (i32.store8 (i32.const 1032) (i32.const 77)) (return (i32.const 1024))))
    (if (call $is (i32.const 0x37))
      (then (i32.store8 (i32.const 1024) (i32.const 9)) (return (i32.const 1024))))
    (if (call $is (i32.const 0x38))
      (then (i32.store8 (i32.const 1040) (i32.const 2)) (return (i32.const 1024))))
    (if (call $is (i32.const 0x39))
      (then (call $groups (i32.const 4096) (i32.const 0x20000001)) (return (i32.const 1024))))
    (if (call $is (i32.const 0x63))
      (then (call $groups (i32.const 0x7fffff00) (i32.const 4)) (return (i32.const 1024))))
    (if (call $is (i32.const 0x64))
      (then
        (call $deny)
        (i32.store8 (i32.const 1044) (i32.const 1))
        (i32.store (i32.const 1048) (i32.const 0xfffffff0))
        (i32.store (i32.const 1052) (i32.const 32))
        (return (i32.const 1024))))
    (if (i32.or (call $is (i32.const 0x70)) (call $is (i32.const 0x71)))
      (then (return (i32.const 1024))))
    (i32.store8 (i32.const 1032) (i32.const 2))
    (i32.const 1024))

  (func (export "cabi_post_portcullis:plugin/authenticator@0.1.0#authenticate") (param i32)
    (if (call $is (i32.const 0x70)) (then (loop $forever (br $forever))))
    (if (call $is (i32.const 0x71)) (then (unreachable))))

  (func $is (param $letter i32) (result i32) (i32.eq (global.get $letter) (local.get $letter)))

  (func $allow
    (i32.store8 (i32.const 1040) (i32.const 1))
    (i32.store (i32.const 1044) (i32.const 48))
    (i32.store (i32.const 1048) (i32.const 5)))

  (func $deny
    (memory.fill (i32.const 1040) (i32.const 0) (i32.const 32))
    (i32.store8 (i32.const 1032) (i32.const 1))
    (i32.store8 (i32.const 1040) (i32.const 0x86)))

  (func $groups (param $at i32) (param $count i32)
    (i32.store (i32.const 1052) (local.get $at))
    (i32.store (i32.const 1056) (local.get $count))))
