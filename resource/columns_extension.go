package resource

import (
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// apiServiceColumns show which service answers for a group version, and whether it does.
func apiServiceColumns() *columns {
	return rowsOf(func(s *apiregistrationv1.APIService) []any {
		service := "Local"
		if s.Spec.Service != nil {
			service = s.Spec.Service.Namespace + "/" + s.Spec.Service.Name
		}
		return []any{s.Name, service, apiServiceAvailable(s), ageOf(s)}
	}, nameColumn(),
		textColumn("Service", "The reference to the service that hosts this API endpoint."),
		textColumn("Available", "Whether this service is available."),
		ageColumn())
}

func apiServiceAvailable(s *apiregistrationv1.APIService) string {
	for _, c := range s.Status.Conditions {
		if c.Type != apiregistrationv1.Available {
			continue
		}
		if c.Status == apiregistrationv1.ConditionTrue || c.Reason == "" {
			return string(c.Status)
		}
		return string(c.Status) + " (" + c.Reason + ")"
	}
	return "Unknown"
}
