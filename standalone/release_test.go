package standalone_test

import "testing"

// TestProtectedGoesWhenUnused guards what is in use, and kubectl from waiting for what is not.
func TestProtectedGoesWhenUnused(t *testing.T) {
	const (
		claim  = `{"metadata":{"name":"c"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`
		volume = `{"metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"hostPath":{"path":"/x"}}}`
		class  = `{"metadata":{"name":"fast"},"driverName":"example.com","parameters":{"a":"b"}}`
	)
	scheduled := `{"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}]}}`
	waiting := `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}]}}`
	ephemeral := `{"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}],"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}}}]}}`
	classy := `{"metadata":{"name":"d"},"spec":{"volumeAttributesClassName":"fast","accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}`
	const (
		claims  = "v1/ns:persistentvolumeclaims"
		volumes = "v1/persistentvolumes"
		classes = "storage.k8s.io/v1/volumeattributesclasses"
		pods    = "v1/ns:pods"
	)
	type made struct{ path, body string }
	tests := []struct {
		name   string
		what   made
		users  []made
		status string // of the object itself
		stays  bool
	}{
		{"a claim that nobody uses", made{claims + "/c", claim}, nil, "", false},
		{"a claim of a pod that has a node", made{claims + "/c", claim}, []made{{pods + "/p", scheduled}}, "", true},
		{"a claim of a pod without a node", made{claims + "/c", claim}, []made{{pods + "/p", waiting}}, "", false},
		{"a claim that was made for a pod", made{claims + "/p-v", `{"metadata":{"name":"p-v"}` + claim[len(`{"metadata":{"name":"c"}`):]}, []made{{pods + "/p", ephemeral}}, "", true},
		{"a volume that nobody uses", made{volumes + "/v", volume}, nil, "", false},
		{"a bound volume", made{volumes + "/v", volume}, nil, `{"status":{"phase":"Bound"}}`, true},
		{"a class that nobody uses", made{classes + "/fast", class}, nil, "", false},
		{"a class of a claim", made{classes + "/fast", class}, []made{{claims + "/d", classy}}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t)
			collection := func(path string) string { return path[:len(path)-len(info("get", path).Name)-1] }
			for _, x := range append(tt.users, tt.what) {
				c.must(t, "create", collection(x.path), x.body)
			}
			if tt.status != "" {
				c.must(t, "patch", tt.what.path+"/status", tt.status)
			}
			c.must(t, "delete", tt.what.path, "")
			if !c.exists(t, tt.what.path) {
				t.Fatal("nothing protects it")
			}
			i := info("get", tt.what.path)
			once, _ := c.once(t)
			if err := once.Release(t.Context(), i.Resource, i.Namespace, i.Name); err != nil {
				t.Fatal(err)
			}
			if c.exists(t, tt.what.path) != tt.stays {
				t.Fatalf("it stays: %v, want %v", !tt.stays, tt.stays)
			}
			if !tt.stays {
				return
			}
			c.run(t, "one")
			if tt.status != "" {
				c.must(t, "patch", tt.what.path+"/status", `{"status":{"phase":"Released"}}`)
			}
			zero := int64(0)
			for _, x := range tt.users {
				c.must(t, "delete", x.path, "", deleteIn(zero))
			}
			c.untilGone(t, tt.what.path)
		})
	}
}
