package storage_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/kinds/storage"
	"github.com/gatehouse/gatehouse/rules"
	"github.com/gatehouse/gatehouse/rules/casetest"
)

// answers is a file of what kube-apiserver answers to writes of objects of one kind.
type answers struct {
	// Base is an object that is accepted; the cases say what they change in it.
	Base  map[string]any
	Cases []struct {
		Name string
		// Update tells that the base, with the changes of Stored, is there already and Change is what a client does to it.
		Update         bool
		Sub            string // the subresource that is written
		Stored, Change map[string]any
		// Causes are "field: message" in their order. There are no warnings about what is refused.
		Causes, Warnings []string
		// Becomes is what is stored, without metadata and times; empty where that is not compared.
		Becomes map[string]any
	}
}

func TestAnswers(t *testing.T) {
	run[storagev1.StorageClass](t, "storageclass", storage.StorageClass())
	run[storagev1.VolumeAttributesClass](t, "attributesclass", storage.VolumeAttributesClass())
	run[storagev1.CSIDriver](t, "csidriver", storage.CSIDriver())
	run[storagev1.CSINode](t, "csinode", storage.CSINode())
	run[storagev1.CSIStorageCapacity](t, "capacity", storage.CSIStorageCapacity())
	run[storagev1.VolumeAttachment](t, "attachment", storage.VolumeAttachment())
	run[corev1.PersistentVolume](t, "volume", storage.PersistentVolume())
	run[corev1.PersistentVolumeClaim](t, "claim", storage.PersistentVolumeClaim())
	run[resourcev1.DeviceClass](t, "deviceclass", storage.DeviceClass())
	run[resourcev1.ResourceClaim](t, "resourceclaim", storage.ResourceClaim())
	run[resourcev1.ResourceClaimTemplate](t, "claimtemplate", storage.ResourceClaimTemplate())
	run[resourcev1.ResourceSlice](t, "resourceslice", storage.ResourceSlice())
}

func run[T any](t *testing.T, file string, kind *rules.Kind) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var a answers
	if err := yaml.UnmarshalStrict(text, &a); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, tc := range a.Cases {
		t.Run(file+"/"+tc.Name, func(t *testing.T) {
			stored := casetest.Changed(a.Base, tc.Stored)
			o := decode[T](t, casetest.Changed(stored, tc.Change))
			kind.Default(o)
			var old any
			if tc.Update {
				was := decode[T](t, stored)
				kind.Default(was)
				kind.Create(was)
				kind.Update(tc.Sub, o, was)
				old = was
			} else {
				kind.Create(o)
			}
			errs, warnings := kind.Check(tc.Sub, o, old)
			var causes []string
			for _, e := range errs {
				causes = append(causes, e.Error())
			}
			if diff := cmp.Diff(tc.Causes, causes); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.Warnings, warnings); causes == nil && diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.Becomes, shown(t, o)); tc.Becomes != nil && diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

func decode[T any](t *testing.T, o map[string]any) *T {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	v := new(T)
	if err := yaml.UnmarshalStrict(text, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// shown is an object as files of answers have it.
func shown(t *testing.T, o any) map[string]any {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"metadata", "apiVersion", "kind"} {
		delete(m, name)
	}
	if status, ok := m["status"].(map[string]any); ok {
		delete(status, "lastPhaseTransitionTime")
	}
	return m
}
