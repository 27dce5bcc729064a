export * from 'react-router-dom';
export const CompatRouter = ({ children }) => children;
