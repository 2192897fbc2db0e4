"""Dialogues of paho-mqtt with a broker: one JSON line a finding, after a line that names the scenario.

    paho_dialogues.py TRANSPORT PORT VERSION USER PASSWORD SCENARIO...

TRANSPORT is tcp or ws.

Judges nothing: tests/it/program/clients.rs knows what should be found, and expects the same of mqtt_dialogues.mjs.
Exit code 1 and a reason on standard error when something never comes. No sleeps: each wait is for an event.
"""

import json
import os
import queue
import socket
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

TRANSPORT, PORT, VERSION, USER, PASSWORD, *SCENARIOS = sys.argv[1:]
PORT, V5 = int(PORT), VERSION == "5"
WAIT = 15.0
FOREVER = 0xFFFFFFFF


def found(**finding):
    print(json.dumps(finding), flush=True)


def properties(packet, **values):
    """Properties by their names in paho, e.g. MessageExpiryInterval; None without any and in 3.1.1."""
    if not V5 or not values:
        return None
    result = Properties(packet)
    for name, value in values.items():
        setattr(result, name, value)
    return result


class Device:
    """A client with a queue for each kind of event."""

    scenario, of_scenario = None, []

    def __init__(self, name, user=USER, password=PASSWORD, keep=False, will=None, **connect):
        self.name = name
        Device.of_scenario.append(self)
        self.answers, self.messages, self.acks, self.subacks, self.ends = (queue.Queue() for _ in range(5))
        options = {} if V5 else {"clean_session": not keep}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            # One for each scenario: who comes back too often with one id is banned.
            client_id=name and f"{Device.scenario} {name}",
            protocol=mqtt.MQTTv5 if V5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
            transport="websockets" if TRANSPORT == "ws" else "tcp",
            **options,
        )
        # More than the broker's receive maximum may wait here.
        self.client.max_queued_messages_set(0)
        if user is not None:
            self.client.username_pw_set(user, password)
        if will is not None:
            self.client.will_set(*will)
        self.client.on_connect = lambda c, u, flags, code, p: self.answers.put((flags, code, p))
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.on_publish = lambda c, u, mid, code, p: self.acks.put((mid, code))
        self.client.on_subscribe = lambda c, u, mid, codes, p: self.subacks.put(codes)
        self.client.on_disconnect = lambda c, u, flags, code, p: self.ends.put((flags, code))
        if keep:
            connect["SessionExpiryInterval"] = FOREVER
        options = {"clean_start": not keep, "properties": properties(PacketTypes.CONNECT, **connect)} if V5 else {}
        self.client.connect("127.0.0.1", PORT, keepalive=60, **options)
        self.client.loop_start()

    def wait(self, events, what):
        try:
            return events.get(timeout=WAIT)
        except queue.Empty:
            sys.exit(f"{self.name}: no {what} within {WAIT} s")

    def answer(self):
        """The CONNACK: session present, code, properties."""
        flags, code, its_properties = self.wait(self.answers, "CONNACK")
        return flags.session_present, code.value, its_properties

    def enter(self):
        session_present, code, _ = self.answer()
        if code != 0:
            sys.exit(f"{self.name}: refused with {code}")
        return session_present

    def message(self):
        return self.wait(self.messages, "message")

    def until(self, payload):
        """All messages up to that with this payload, which is left out."""
        came = []
        while (message := self.message()).payload != payload:
            came.append(message)
        return came

    def send(self, topic, payload, qos=1, retain=False, **values):
        return self.client.publish(topic, payload, qos, retain, properties(PacketTypes.PUBLISH, **values)).mid

    def acknowledgement(self):
        return self.wait(self.acks, "acknowledgement")

    def publish(self, topic, payload, qos=1, retain=False, **values):
        """Sends and waits for the last acknowledgement; its code."""
        mid = self.send(topic, payload, qos, retain, **values)
        came, code = self.acknowledgement()
        if came != mid:
            sys.exit(f"{self.name}: acknowledgement of {came} instead of {mid}")
        return code.value

    def subscribe(self, topic, qos=2, identifier=None, **options):
        """The codes of SUBACK."""
        if V5:
            values = {} if identifier is None else {"SubscriptionIdentifier": identifier}
            its_properties = properties(PacketTypes.SUBSCRIBE, **values)
            self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options), properties=its_properties)
        else:
            self.client.subscribe(topic, qos)
        return [code.value for code in self.wait(self.subacks, "SUBACK")]

    def leave(self):
        if self.client.disconnect() == mqtt.MQTT_ERR_SUCCESS:
            self.wait(self.ends, "end")
        self.client.loop_stop()

    def vanish(self):
        """Ends the connection without DISCONNECT."""
        # By its number: what paho has of a WebSocket is no socket.
        with socket.socket(fileno=os.dup(self.client.socket().fileno())) as network:
            network.shutdown(socket.SHUT_RDWR)
        self.wait(self.ends, "end")
        self.client.loop_stop()


def enter(name, **options):
    device = Device(name, **options)
    device.enter()
    return device


def text(message):
    return message.payload.decode()


def every_qos():
    receiver, sender = enter("receiver"), enter("sender")
    found(granted=[receiver.subscribe(f"free/granted/{qos}", qos)[0] for qos in range(3)])
    for sent in range(3):
        for granted in range(3):
            sender.publish(f"free/granted/{granted}", f"sent {sent}", sent)
            message = receiver.message()
            found(topic=message.topic, payload=text(message), came=message.qos)
    large = bytes(range(256)) * 800
    sender.publish("free/granted/2", large)
    found(large_is_the_same=receiver.message().payload == large)


def burst():
    # A window of two makes the broker hold messages back.
    receiver = enter("receiver", **({"ReceiveMaximum": 2} if V5 else {}))
    sender = enter("sender")
    receiver.subscribe("free/burst/#")
    for qos in (1, 2):
        for number in range(200):
            sender.send("free/burst/x", str(number), qos)
        came = [text(receiver.message()) for _ in range(200)]
        codes = {sender.acknowledgement()[1].value for _ in range(200)}
        found(qos=qos, in_order=came == [str(number) for number in range(200)], codes=list(codes))
    sender.publish("free/burst/x", "end")
    found(too_many=len(receiver.until(b"end")))


def retained():
    before, sender = enter("before"), enter("sender")
    before.subscribe("free/retained/#")
    for name in ("stays", "goes"):
        sender.publish(f"free/retained/{name}", name, retain=True)
        message = before.message()
        found(topic=message.topic, payload=text(message), retain=message.retain)
    sender.publish("free/retained/goes", "", retain=True)
    after = enter("after")
    after.subscribe("free/retained/#", 1)
    sender.publish("free/retained/end", "end")
    for message in after.until(b"end"):
        found(topic=message.topic, payload=text(message), retain=message.retain, qos=message.qos)


def will():
    witness = enter("witness")
    witness.subscribe("free/will/#")
    enter("mortal", will=("free/will/mortal", "gone", 2, True)).vanish()
    message = witness.message()
    found(topic=message.topic, payload=text(message), qos=message.qos, retain=message.retain)
    late = enter("late")
    late.subscribe("free/will/+")
    message = late.message()
    found(topic=message.topic, payload=text(message), qos=message.qos, retain=message.retain)


def farewell():
    witness = enter("witness")
    witness.subscribe("free/farewell/#")
    enter("polite", will=("free/farewell/polite", "gone", 1, False)).leave()
    witness.publish("free/farewell/x", "end")
    found(wills=len(witness.until(b"end")))


def session():
    sender = enter("sender")
    found(session_present=enter_and_leave("sleeper", "free/session/#"))
    for number in range(1, 5):
        sender.publish("free/session/x", f"queued {number}", 1 + number % 2)
    sleeper = Device("sleeper", keep=True)
    found(session_present=sleeper.enter())
    # Only within one QoS is the order that of the sender: this library shows QoS 2 after PUBREL.
    queued = [sleeper.message() for _ in range(4)]
    for message in sorted(queued, key=lambda message: message.qos):
        found(payload=text(message), qos=message.qos)
    # The connection breaks instead of being ended: the session stays all the same.
    sleeper.vanish()
    sender.publish("free/session/x", "queued 5")
    sleeper = Device("sleeper", keep=True)
    found(session_present=sleeper.enter(), payload=text(sleeper.message()))
    sleeper.leave()
    found(session_present=Device("sleeper").enter())


def enter_and_leave(name, topic):
    device = Device(name, keep=True)
    session_present = device.enter()
    device.subscribe(topic)
    device.leave()
    return session_present


def refused():
    for who, user, password in [
        ("wrong password", USER, PASSWORD + "x"),
        ("no password", USER, None),
        ("unknown user", "stranger", PASSWORD),
        ("nobody", None, None),
    ]:
        _, code, _ = Device("knocks", user, password).answer()
        found(who=who, code=code)
    device = enter("insider")
    for qos in (1, 2):
        found(publish=device.publish("free/secret/x", "no", qos))
    found(subscribe=device.subscribe("free/secret/x") + device.subscribe("free/fine", 1))
    # Nothing of the above ended the connection, and a refused QoS 0 PUBLISH does not either.
    device.publish("free/secret/x", "no", 0)
    device.publish("free/fine", "still here", 1)
    found(payload=text(device.message()))


def takeover():
    first = enter("twin")
    second = enter("twin")
    flags, _ = first.wait(first.ends, "end")
    # The library does not look at the code of a DISCONNECT without properties.
    found(told=flags.is_disconnect_packet_from_server)
    second.subscribe("free/twin")
    second.publish("free/twin", "alive")
    found(payload=text(second.message()))


def shared():
    members, sender = [enter("member 1"), enter("member 2")], enter("sender")
    for member in members:
        member.subscribe("$share/group/free/shared/#", 1)
    for number in range(20):
        sender.publish("free/shared/x", str(number))
    came = {}
    # The end of each member's share comes on a topic of its own, after everything else.
    for member in members:
        member.subscribe("free/end", 1)
    sender.publish("free/end", "end")
    for member in members:
        came[member.name] = [int(text(message)) for message in member.until(b"end")]
    everything = sorted(sum(came.values(), []))
    found(each_once=everything == list(range(20)), idle=[name for name in came if not came[name]])


def shared_away():
    members, sender = ["member 1", "member 2"], enter("sender")
    for member in members:
        enter_and_leave(member, "$share/group/free/away/#")
    for number in range(6):
        sender.publish("free/away/x", str(number))
    members = [enter(member, keep=True) for member in members]
    came = []
    for member in members:
        member.subscribe("free/end", 1)
    sender.publish("free/end", "end")
    for member in members:
        came += [int(text(message)) for message in member.until(b"end")]
    found(came=sorted(came))


def all_properties():
    receiver, sender = enter("receiver"), enter("sender")
    receiver.subscribe("free/properties", 1, identifier=7)
    sender.publish(
        "free/properties",
        "{}",
        UserProperty=[("a", "1"), ("a", "3"), ("b", "2")],
        ContentType="application/json",
        ResponseTopic="free/answer",
        CorrelationData=b"\x00\xff",
        PayloadFormatIndicator=1,
        MessageExpiryInterval=100,
    )
    came = receiver.message().properties
    found(
        user_properties=[list(pair) for pair in came.UserProperty],
        content_type=came.ContentType,
        response_topic=came.ResponseTopic,
        correlation_data=came.CorrelationData.hex(),
        payload_format=came.PayloadFormatIndicator,
        subscription_identifiers=came.SubscriptionIdentifier,
        expires_within_100=0 < came.MessageExpiryInterval <= 100,
    )


def topic_alias():
    receiver = enter("receiver")
    receiver.subscribe("free/alias/#")
    sender = Device("sender")
    _, _, answer = sender.answer()
    found(topic_alias_maximum=answer.TopicAliasMaximum)
    for topic, payload in [("free/alias/a", "1"), ("", "2"), ("free/alias/b", "3"), ("", "4")]:
        sender.publish(topic, payload, TopicAlias=1)
        message = receiver.message()
        found(topic=message.topic, payload=text(message))


def expiry():
    sender = enter("sender")
    enter_and_leave("sleeper", "free/expiry/#")
    sender.publish("free/expiry/x", "short", MessageExpiryInterval=1)
    sender.publish("free/expiry/x", "long", MessageExpiryInterval=100)
    sender.publish("free/expiry/x", "endless")
    # Expires after the queued one: when it is gone, that is gone as well.
    sender.publish("free/kept", "short", retain=True, MessageExpiryInterval=1)
    deadline = time.monotonic() + WAIT
    looks = enter("looks")
    while True:
        looks.subscribe("free/kept", 1)
        looks.publish("free/kept", "end")
        kept = looks.until(b"end")
        if not kept:
            break
        if time.monotonic() > deadline:
            sys.exit("a retained message outlives its expiry")
    sleeper = Device("sleeper", keep=True)
    sleeper.enter()
    for _ in range(2):
        message = sleeper.message()
        left = getattr(message.properties, "MessageExpiryInterval", None)
        found(payload=text(message), time_has_passed=None if left is None else left < 100)


def options():
    device, other = enter("device"), enter("other")
    other.publish("free/options/kept", "kept", retain=True)
    device.subscribe("free/options/#", 1, noLocal=True, retainAsPublished=True, retainHandling=2)
    device.publish("free/options/x", "own")
    other.publish("free/options/x", "flagged", retain=True)
    other.publish("free/options/x", "end")
    for message in device.until(b"end"):
        found(payload=text(message), retain=message.retain)


def retain_handling():
    device, sender = enter("device"), enter("sender")
    sender.publish("free/handling", "kept", retain=True)
    for who, handling in [(device, 2), (device, 1), (device, 0), (device, 0), (enter("new"), 1)]:
        who.subscribe("free/handling", 1, retainHandling=handling)
        sender.publish("free/handling", "end")
        found(handling=handling, came=[[text(message), message.retain] for message in who.until(b"end")])
    # The last end came here too. Without Retain As Published the flag is not passed on.
    device.until(b"end")
    sender.publish("free/handling", "flagged", retain=True)
    message = device.message()
    found(payload=text(message), retain=message.retain)


def delayed_will():
    witness = enter("witness")
    witness.subscribe("free/delayed/#")

    def mortal(name, seconds):
        delay = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=seconds)
        return enter(name, keep=True, will=(f"free/delayed/{name}", name, 1, False, delay))

    # It is back before its will is due; that of the other is due after that.
    mortal("returns", 1).vanish()
    enter("returns", keep=True)
    stays_away = mortal("stays away", 2)
    began = time.monotonic()
    stays_away.vanish()
    message = witness.message()
    found(payload=text(message), after_delay=time.monotonic() - began >= 2)
    witness.publish("free/delayed/x", "end")
    found(others=len(witness.until(b"end")))


def assigned_client_id():
    device = Device("")
    _, code, answer = device.answer()
    found(code=code, assigned=len(answer.AssignedClientIdentifier) > 0)


for scenario in SCENARIOS:
    found(scenario=scenario)
    Device.scenario = scenario
    globals()[scenario]()
    for device in Device.of_scenario:
        device.leave()
    Device.of_scenario.clear()
