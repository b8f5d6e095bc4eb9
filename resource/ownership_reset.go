package resource

// resetFields lists what a write through a subresource, or without one to the object itself, does not keep, for each version
// that a record of owners may name. Who writes such a field does not own it.
func resetFields(t *Type, subresource string) map[string][]string {
	var paths []string
	switch subresource {
	case "":
		if _, ok := t.Subresource("status"); ok {
			paths = []string{"status"}
		}
		if t.Resource == "certificatesigningrequests" {
			paths = append(paths, "spec")
		}
	case "status":
		paths = resetByStatus(t)
	case "finalize":
		paths = []string{"status"}
	case "approval":
		paths = []string{"spec", "status.certificate"}
	}
	if paths == nil {
		return nil
	}
	reset := make(map[string][]string)
	for _, version := range versionsOf(t) {
		reset[version] = paths
	}
	return reset
}

// resetByStatus is what a write of the status does not keep: the spec, and with some kinds all or part of the metadata.
func resetByStatus(t *Type) []string {
	switch t.Resource {
	case "deployments":
		return []string{"spec", "metadata.labels"}
	case "pods":
		return []string{"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"}
	case "certificatesigningrequests":
		return []string{"spec", "status.conditions"}
	case "apiservices", "flowschemas", "prioritylevelconfigurations", "resourceclaims", "servicecidrs",
		"validatingadmissionpolicies", "volumeattachments":
		return []string{"spec", "metadata"}
	}
	return []string{"spec"}
}

// versionsOf are the versions by which a record may name the kind: those that are served, and those of older releases.
func versionsOf(t *Type) []string {
	group := t.Group
	if group != "" {
		group += "/"
	}
	versions := []string{group + t.Version}
	if t.Resource == "horizontalpodautoscalers" {
		versions = []string{"autoscaling/v1", "autoscaling/v2"}
	}
	return versions
}
