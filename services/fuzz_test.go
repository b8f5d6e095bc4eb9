package services_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/gatehouse/gatehouse/services"
)

// referencePorts is what kube-apiserver 1.36.3 has stored while no node port of the range 30000-32767 is taken.
const referencePorts = "6b3873000a150a027631120f52616e6765416c6c6f636174696f6e12210a100a0012001a0022002a00320038004200120b" +
	"33303030302d33323736371a001a002200"

// TestPortsAreStoredAsByTheReference checks the bytes, which servers of both kinds read.
func TestPortsAreStoredAsByTheReference(t *testing.T) {
	want, err := hex.DecodeString(referencePorts)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := services.RoundTripPorts(want); err != nil || !bytes.Equal(got, want) {
		t.Errorf("written again: %x, %v", got, err)
	}
}

// FuzzPorts reads stored node ports: what is not refused means the same when it is written and read again.
func FuzzPorts(f *testing.F) {
	seed, err := hex.DecodeString(referencePorts)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("k8s\x00"))
	f.Fuzz(func(t *testing.T, value []byte) {
		once, err := services.RoundTripPorts(value)
		if err != nil {
			return
		}
		twice, err := services.RoundTripPorts(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("written again: %x, %v; want %x", twice, err, once)
		}
	})
}

// FuzzMaster reads announcements of servers: what is not refused means the same when it is written and read again.
func FuzzMaster(f *testing.F) {
	seed, err := services.EncodeMaster(netip.MustParseAddr("192.0.2.1"), 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, value []byte) {
		address, generation, err := services.DecodeMaster(value)
		if err != nil {
			return
		}
		again, err := services.EncodeMaster(address, generation)
		if err != nil {
			t.Fatal(err)
		}
		if a, g, err := services.DecodeMaster(again); err != nil || a != address || g != generation {
			t.Errorf("read again: %v %d %v, want %v %d", a, g, err, address, generation)
		}
	})
}
