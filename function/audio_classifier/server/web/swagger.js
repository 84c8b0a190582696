// Shows Swagger UI in the page's element, with the OpenAPI document that the element names.

const container = document.getElementById("swagger-ui");

SwaggerUIBundle({
  domNode: container,
  url: container.dataset.url,
  deepLinking: true,
  showCommonExtensions: true,
});
