;; A guest of the tests whose memory for arguments lies beyond its memory: each call with a text
;; must be a refusal.
(module
  (memory (export "memory") 2)

  (data (i32.const 16) "lies-in-realloc")
  (data (i32.const 48) "0.1.0")
  (data (i32.const 64) "liar")
  (global $next (mut i32) (i32.const 8192))

  (func (export "cabi_realloc") (param i32) (param i32) (param $align i32)
    (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (i32.const 0xfffffff0))

  (func (export "portcullis:plugin/plugin@0.1.0#describe") (result i32)
    (i32.store (i32.const 256) (i32.const 16))
    (i32.store (i32.const 260) (i32.const 15))
    (i32.store (i32.const 264) (i32.const 48))
    (i32.store (i32.const 268) (i32.const 5))
    (i32.const 256))

  ;; Memory at 512 stays zero: the case `ok`.
  (func (export "portcullis:plugin/plugin@0.1.0#init") (result i32) (i32.const 512))
  (func (export "portcullis:plugin/plugin@0.1.0#self-test") (result i32) (i32.const 512))

  ;; An allow for `liar`, so that a host that overlooks the lie lets somebody in and the test sees
  ;; it.
  (func (export "portcullis:plugin/authenticator@0.1.0#authenticate") (param i32) (result i32)
    (global.set $next (i32.const 8192))
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 128))
    (i32.store8 (i32.const 1040) (i32.const 1))
    (i32.store (i32.const 1044) (i32.const 64))
    (i32.store (i32.const 1048) (i32.const 4))
    (i32.const 1024)))
