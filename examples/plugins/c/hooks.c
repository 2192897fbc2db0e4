// A plugin for the MQTT broker Portcullis: who logs in with the password of `[config]` is who it says,
// has topics of its own, and names devices in capitals.
//
// What the hooks mean is written in wit/deps/portcullis. A hook owns its arguments and frees them;
// what it returns lies on the heap and is freed by its caller. A trap counts as a refusal.

#include <stdlib.h>
#include <string.h>

#include "plugin.h"

enum { BAD_USER_NAME_OR_PASSWORD = 0x86, PAYLOAD_FORMAT_INVALID = 0x99 };

static plugin_string_t password;

void exports_portcullis_plugin_plugin_describe(exports_portcullis_plugin_plugin_info_t *info) {
  plugin_string_dup(&info->name, "first-plugin");
  plugin_string_dup(&info->version, "0.1.0");
}

// Once per instance. An error keeps the plugin from going live.
bool exports_portcullis_plugin_plugin_init(exports_portcullis_plugin_plugin_plugin_error_t *error) {
  plugin_string_t key = {(uint8_t *)"password", strlen("password")};
  if (portcullis_plugin_config_get(&key, &password) && password.len > 0) {
    return true;
  }
  error->tag = PORTCULLIS_PLUGIN_TYPES_PLUGIN_ERROR_MISCONFIGURED;
  plugin_string_dup(&error->val.misconfigured, "config.password is missing");
  return false;
}

bool exports_portcullis_plugin_plugin_self_test(exports_portcullis_plugin_plugin_plugin_error_t *error) {
  (void)error;
  return true;
}

// As long for every wrong password of the right length.
static bool is_password(const plugin_option_list_u8_t *given) {
  if (!given->is_some || given->val.len != password.len) {
    return false;
  }
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < password.len; i++) {
    difference |= given->val.ptr[i] ^ password.ptr[i];
  }
  return difference == 0;
}

bool exports_portcullis_plugin_authenticator_authenticate(
    exports_portcullis_plugin_authenticator_connection_t *connection,
    exports_portcullis_plugin_authenticator_credentials_t *credentials,
    exports_portcullis_plugin_authenticator_outcome_t *outcome,
    exports_portcullis_plugin_authenticator_plugin_error_t *error) {
  (void)error;
  memset(outcome, 0, sizeof *outcome);
  if (!connection->username.is_some || connection->username.val.len == 0) {
    outcome->tag = EXPORTS_PORTCULLIS_PLUGIN_AUTHENTICATOR_OUTCOME_NEXT;
  } else if (!is_password(&credentials->password)) {
    outcome->tag = EXPORTS_PORTCULLIS_PLUGIN_AUTHENTICATOR_OUTCOME_DENY;
    outcome->val.deny.reason_code = BAD_USER_NAME_OR_PASSWORD;
  } else {
    outcome->tag = EXPORTS_PORTCULLIS_PLUGIN_AUTHENTICATOR_OUTCOME_ALLOW;
    // Handed on: no longer the connection's to free.
    outcome->val.allow.principal = connection->username;
    connection->username.is_some = false;
  }
  exports_portcullis_plugin_authenticator_connection_free(connection);
  exports_portcullis_plugin_authenticator_credentials_free(credentials);
  return true;
}

// The host fills in the name, so that one answer holds for everyone.
bool exports_portcullis_plugin_authorizer_permissions(
    exports_portcullis_plugin_authorizer_subject_t *subject,
    exports_portcullis_plugin_authorizer_answer_t *answer,
    exports_portcullis_plugin_authorizer_plugin_error_t *error) {
  exports_portcullis_plugin_authorizer_subject_free(subject);
  exports_portcullis_plugin_authorizer_rule_t *own = calloc(1, sizeof *own);
  if (own == NULL) {
    error->tag = PORTCULLIS_PLUGIN_TYPES_PLUGIN_ERROR_INTERNAL;
    plugin_string_dup(&error->val.internal, "no memory");
    return false;
  }
  own->effect = PORTCULLIS_PLUGIN_PERMISSIONS_EFFECT_ALLOW;
  own->activity = PORTCULLIS_PLUGIN_PERMISSIONS_ACTIVITY_PUBLISH |
                  PORTCULLIS_PLUGIN_PERMISSIONS_ACTIVITY_SUBSCRIBE;
  plugin_string_dup(&own->filter, "devices/${username}/#");
  own->qos = PORTCULLIS_PLUGIN_PERMISSIONS_QOS_SET_AT_MOST_ONCE |
             PORTCULLIS_PLUGIN_PERMISSIONS_QOS_SET_AT_LEAST_ONCE |
             PORTCULLIS_PLUGIN_PERMISSIONS_QOS_SET_EXACTLY_ONCE;
  own->retain = PORTCULLIS_PLUGIN_PERMISSIONS_CONDITION_ANY;
  own->shared = PORTCULLIS_PLUGIN_PERMISSIONS_CONDITION_NO;

  answer->tag = EXPORTS_PORTCULLIS_PLUGIN_AUTHORIZER_ANSWER_PERMISSIONS;
  exports_portcullis_plugin_authorizer_permission_set_t *set = &answer->val.permissions;
  set->rules.ptr = own;
  set->rules.len = 1;
  set->ttl_seconds = (plugin_option_u32_t){.is_some = true, .val = 300};
  set->holds_for = EXPORTS_PORTCULLIS_PLUGIN_AUTHORIZER_HOLDS_FOR_EVERYONE;
  return true;
}

void exports_portcullis_plugin_inbound_transform_topics(plugin_list_string_t *topics) {
  topics->ptr = calloc(1, sizeof *topics->ptr);
  topics->len = topics->ptr == NULL ? 0 : 1;
  if (topics->len > 0) {
    plugin_string_dup(topics->ptr, "devices/+/name");
  }
}

bool exports_portcullis_plugin_inbound_transform_transform(
    exports_portcullis_plugin_inbound_transform_source_t source,
    exports_portcullis_plugin_inbound_transform_client_t *publisher,
    exports_portcullis_plugin_inbound_transform_message_t *message,
    exports_portcullis_plugin_inbound_transform_outcome_t *outcome,
    exports_portcullis_plugin_inbound_transform_plugin_error_t *error) {
  (void)source;
  (void)error;
  memset(outcome, 0, sizeof *outcome);
  if (message->payload.len == 0) {
    outcome->tag = EXPORTS_PORTCULLIS_PLUGIN_INBOUND_TRANSFORM_OUTCOME_REJECT;
    outcome->val.reject.reason_code = PAYLOAD_FORMAT_INVALID;
    outcome->val.reject.reason.is_some = true;
    plugin_string_dup(&outcome->val.reject.reason.val, "a device has a name");
  } else {
    for (size_t i = 0; i < message->payload.len; i++) {
      uint8_t *byte = &message->payload.ptr[i];
      *byte -= *byte >= 'a' && *byte <= 'z' ? 'a' - 'A' : 0;
    }
    outcome->tag = EXPORTS_PORTCULLIS_PLUGIN_INBOUND_TRANSFORM_OUTCOME_PATCHED;
    // Handed on: no longer the message's to free.
    outcome->val.patched.payload.is_some = true;
    outcome->val.patched.payload.val = message->payload;
    message->payload.len = 0;
  }
  exports_portcullis_plugin_inbound_transform_client_free(publisher);
  exports_portcullis_plugin_inbound_transform_message_free(message);
  return true;
}
